"""The requests of a check that cost nothing: for ids that no server knows, for lists, and invalid ones."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from threadmill.settings.endpoints.endpoint import Wire
from threadmill_worker.admin.discovery.asking import Asker
from threadmill_worker.admin.discovery.findings import Finding, models_in, said
from threadmill_worker.drivers.http.exchange import Reply
from threadmill_worker.drivers.probe import NO_RESPONSE, NO_THREAD
from threadmill_worker.drivers.replies.paths import has_list, has_path, object_in

#: A path that no server has: how it answers there is how it answers for any unknown path.
_NOWHERE = "/threadmill-asks-for-nothing"


class Question(NamedTuple):
    """Requests that show a feature; the first one that does is enough. A POST has an empty body."""

    feature: str
    requests: tuple[tuple[str, str], ...]


_APIS = (
    Question("responses", (("POST", "/responses"), ("GET", NO_RESPONSE))),
    Question("chat", (("POST", "/chat/completions"),)),
    Question("assistants", (("GET", NO_THREAD),)),
)

#: Lists that show a feature if the server has all of them, by the API that uses the feature.
_LISTS: dict[str, dict[str, tuple[str, ...]]] = {
    "responses": {
        "list_responses": ("/responses?limit=1",),
        "files": ("/files?limit=1", "/vector_stores?limit=1"),
        "batches": ("/batches?limit=1", "/files?limit=1"),
    },
    "assistants": {"files": ("/files?limit=1",)},  # uploads are of use without vector stores: images
    "chat": {"batches": ("/batches?limit=1", "/files?limit=1")},  # a batch is a file: Gemini has no /files
}


async def find_apis(asker: Asker, known: Wire | None = None) -> tuple[list[Finding], list[Reply]]:
    """Returns what the server says about each API, and the replies that show it. Raises Unreached.

    `known`: an API that another check has found, and that is not asked for again.
    """
    elsewhere = {method: await asker.ask(method, _NOWHERE, {}) for method in ("POST", "GET")}
    findings: list[Finding] = []
    replies: list[Reply] = []
    for question in _APIS:
        if question.feature == known:
            findings.append(Finding(known, True, "found before"))
            continue
        finding, answers = await _ask(asker, question, elsewhere)
        findings.append(finding)
        replies += answers
    if findings[-1].has is None and replies[-1].status >= 500:
        findings[-1] = await _make_thread(asker)
    if known is None and len(replies) == len(_APIS) and len({(reply.status, reply.text) for reply in replies}) == 1:
        findings = [replace(each, has=None) for each in findings]  # LiteLLM answers so without a key
    return findings, replies


async def _ask(asker: Asker, question: Question, elsewhere: Mapping[str, Reply]) -> tuple[Finding, list[Reply]]:
    """Returns the answer, and the replies that it needed. `elsewhere`: what the server replies for an unknown path."""
    replies: list[Reply] = []
    for method, path in question.requests:
        reply = await asker.ask(method, path, {})
        replies.append(reply)
        has = has_path(method, path, reply.status, reply.text)
        if has and _alike(reply, path, elsewhere[method]):
            has = False
        finding = Finding(question.feature, has, f"{_shown(method, path)}: {said(reply)}")
        if has:
            break
    return finding, replies


async def _make_thread(asker: Asker) -> Finding:
    """Creates a thread and deletes it: some servers answer reads of unknown threads 500."""
    reply = await asker.ask("POST", "/threads", {"messages": [{"role": "user", "content": "-"}]})
    thread = object_in(reply.text)
    if is_made := reply.status == 200 and isinstance(thread.get("id"), str) and thread.get("object") == "thread":
        await asker.ask_quietly("DELETE", f"/threads/{thread['id']}")
    return Finding("assistants", is_made, f"POST /threads: {said(reply)}")


async def find_models(asker: Asker) -> tuple[str, ...]:
    """Returns the models that the server lists."""
    reply = await asker.ask_quietly("GET", "/models")
    models = models_in(object_in(reply.text)) if reply and reply.status == 200 else ()
    asker.find("models", bool(models), f"GET /models: {f'{len(models)}' if models else _of(reply)}")
    return models


async def find_lists(asker: Asker, wire: str) -> None:
    """Finds out which lists of an API the server has, and so which features."""
    for feature, paths in _LISTS[wire].items():
        for path in paths:
            reply = await asker.ask_quietly("GET", path)
            has = has_list(reply.status, reply.text) if reply else None
            if not has or path == paths[-1]:
                asker.find(feature, has, f"GET {path}: {_of(reply)}")
                break
    if wire == "responses":
        await _find(asker, "conversations", "GET", "/conversations/conv_none")
    if wire == "assistants":
        await _find(asker, "create_and_run", "POST", "/threads/runs")


async def _find(asker: Asker, feature: str, method: str, path: str) -> None:
    reply = await asker.ask_quietly(method, path, {})
    has = has_path(method, path, reply.status, reply.text) if reply else None
    asker.find(feature, has, f"{_shown(method, path)}: {_of(reply)}")


def _shown(method: str, path: str) -> str:
    return f"GET {path}" if method == "GET" else f"empty POST {path}"


def _of(reply: Reply | None) -> str:
    return said(reply) if reply else "no reply"


def _alike(reply: Reply, path: str, elsewhere: Reply) -> bool:
    """Whether the server replies the same for an unknown path."""
    texts = (reply.text.replace(path, ""), elsewhere.text.replace(_NOWHERE, ""))
    return reply.status == elsewhere.status and texts[0] == texts[1]
