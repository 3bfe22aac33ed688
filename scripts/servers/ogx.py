"""OGX, formerly Llama Stack: its responses and its chat completions."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from servers import backends, litellm
from servers.backends import Backend
from servers.installed import installed
from servers.kind import START_S, Kind, Running, answers, in_front_of, process
from servers.model import EMBEDDINGS
from threadmill_cli.local.services import free_port

#: OGX, and what its provider of vector stores imports and its own requirements do not name.
VERSIONS = {
    "ogx": "1.5.0",
    "faiss-cpu": "1.15.1",
    "numpy": "2.5.5",
    "chardet": "7.7.0",
    "pypdf": "7.1.1",
    "aiohttp": "3.14.5",
}


@contextmanager
def _ogx(keeps_chats: bool, folder: Path, backend: Backend) -> Iterator[Running]:
    """`keeps_chats`: chat completions are stored, for ever: OGX has no call that deletes one."""
    # LiteLLM brings the vocabulary that OGX would fetch from a server of tiktoken's when it starts.
    vocabulary = f"litellm=={litellm.VERSION}"
    packages = [f"{name}=={version}" for name, version in VERSIONS.items()]
    bin = installed(folder / "ogx", ">=3.12", packages, [vocabulary])
    [tokenizers] = bin.parent.glob("lib/*/site-packages/litellm/litellm_core_utils/tokenizers")
    port, data = free_port(), folder / "ogx-data"
    data.mkdir(exist_ok=True)
    config = folder / "ogx.json"
    config.write_text(json.dumps(_config(data, backend, port, keeps_chats)))
    command = [str(bin / "ogx"), "run", str(config), "--port", str(port), "--insecure"]
    environment = {"HOME": str(data), "TIKTOKEN_CACHE_DIR": str(tokenizers)}
    with process("ogx", command, folder, environment) as started:
        url = f"http://127.0.0.1:{port}/v1"
        started.wait_until(lambda: answers(f"{url}/models"), START_S)
        yield Running(url, "none", f"mirror/{backend.model}", backend, lambda: _listed(url, keeps_chats))


def _config(data: Path, backend: Backend, port: int, keeps_chats: bool) -> dict[str, Any]:
    def provider(name: str, **config: Any) -> list[dict[str, Any]]:
        return [{"provider_id": name.partition("::")[2], "provider_type": name, "config": config}]

    def table(name: str) -> dict[str, Any]:
        return {"table_name": name, "backend": "sql"}

    providers = {
        "inference": provider("remote::openai", base_url=backend.url, api_key="none"),
        "vector_io": provider("inline::faiss", persistence={"namespace": "vectors", "backend": "kv"}),
        "files": provider("inline::localfs", storage_dir=str(data / "files"), metadata_store=table("files")),
        "file_processors": provider("inline::pypdf"),
        "responses": provider("inline::builtin", persistence={"responses": table("responses")}),
        "tool_runtime": provider("inline::file-search"),
    }
    providers["inference"][0]["provider_id"] = "mirror"
    stores: dict[str, Any] = {name: table(name) for name in ("conversations", "prompts", "connectors")}
    stores |= {"inference": table("inference") if keeps_chats else None}
    return {
        "version": 2,
        "distro_name": "check",
        "apis": list(providers),
        "providers": providers,
        "storage": {
            "backends": {
                "kv": {"type": "kv_sqlite", "db_path": str(data / "kv.db")},
                "sql": {"type": "sql_sqlite", "db_path": str(data / "sql.db")},
            },
            "stores": {"metadata": {"namespace": "registry", "backend": "kv"}, **stores},
        },
        "server": {"port": port, "host": "127.0.0.1"},
        "vector_stores": {
            "default_provider_id": "faiss",
            "default_embedding_model": {"provider_id": "mirror", "model_id": EMBEDDINGS},
        },
    }


def _listed(url: str, keeps_chats: bool) -> int:
    """How many responses, files, vector stores, and chat completions where they are stored, a server lists."""
    total = 0
    for name in ("responses", "files", "vector_stores", *(("chat/completions",) if keeps_chats else ())):
        with urllib.request.urlopen(f"{url}/{name}", timeout=10) as reply:
            total += len(json.load(reply)["data"])
    return total


_NAME = f"OGX {VERSIONS['ogx']}"
KINDS = (
    Kind("ogx-chat", _NAME, in_front_of(backends.model, partial(_ogx, False)), {"kind": "chat"}, 1),
    Kind(
        "ogx",
        _NAME,
        in_front_of(backends.model, partial(_ogx, True)),
        {"kind": "responses", "supports": {"list_responses": True}},
        3,
    ),
)
