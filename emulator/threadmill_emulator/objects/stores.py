"""The JSON objects of vector stores and their files."""

from collections import Counter
from collections.abc import Collection, Iterable

from threadmill_emulator.objects.assistants import Object, seconds
from threadmill_emulator.storage.vector_stores import StoredFile, VectorStore

CHUNKING = {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}}
UNSUPPORTED = {"code": "unsupported_file", "message": "The file type is not supported."}


def store_object(store: VectorStore, now: float, quirks: Collection[str] = ()) -> Object:
    shown = _complete_object(store, now)
    is_open = shown["status"] == "in_progress"
    if is_open and "early_stores" in quirks:
        return {**shown, "status": "completed", "file_counts": _counts((), now)}
    if "uncounted_stores" in quirks:
        del shown["file_counts"]
        return {**shown, "status": "completed"}
    return shown


def _complete_object(store: VectorStore, now: float) -> Object:
    expiry = {"expires_after": store.expires_after} if store.expires_after else {}
    return {
        "id": store.id,
        "object": "vector_store",
        "created_at": seconds(store.created),
        "name": store.name,
        "usage_bytes": sum(_usage(file, now) for file in store.files.values()),
        "file_counts": _counts(store.files.values(), now),
        "status": store.status(now),
        **expiry,
        "expires_at": seconds(store.expires),
        "last_active_at": seconds(store.last_active),
        "metadata": store.metadata,
    }


def stored_file_object(stored: StoredFile, now: float) -> Object:
    status = stored.status(now)
    return {
        "id": stored.file.id,
        "object": "vector_store.file",
        "usage_bytes": _usage(stored, now),
        "created_at": seconds(stored.created),
        "vector_store_id": stored.store_id,
        "status": status,
        "last_error": UNSUPPORTED if status == "failed" else None,
        "chunking_strategy": CHUNKING,
        "attributes": {},
    }


def _usage(stored: StoredFile, now: float) -> int:
    return len(stored.file.data) if stored.status(now) == "completed" else 0


def _counts(files: Iterable[StoredFile], now: float) -> dict[str, int]:
    seen = Counter(file.status(now) for file in files)
    statuses = ("in_progress", "completed", "failed", "cancelled")
    return {status: seen[status] for status in statuses} | {"total": seen.total()}
