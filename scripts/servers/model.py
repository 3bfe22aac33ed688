"""A model behind chat completions, and embeddings. Its answer repeats the messages it was sent, so lost context shows.

The last user message says what it does: `slow=2` waits for 2 s, `rounds=2` calls a tool in two rounds, `fail=500`
refuses the first request that has this text.
"""

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

NAME = "mirror"
#: A name that servers know as an embedding model, and its size.
EMBEDDINGS, DIMENSIONS = "text-embedding-3-small", 1536

_WORD_S = 0.05  # between two words of a stream


@dataclass(frozen=True)
class Asked:
    """A request to a model."""

    question: str  #: the last user message
    conversation: str  #: all messages that the model was sent


def asked_of(body: dict[str, Any]) -> Asked:
    """What a request for a chat completion asks."""
    messages = _said(body)
    question = next((text for role, text in reversed(messages) if role == "user"), "")
    return Asked(question, "\n".join(f"{role}: {text}" for role, text in messages))


@dataclass
class Model:
    asked: list[Asked] = field(default_factory=list)

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
                Route("/v1/embeddings", _embed, methods=["POST"]),
                Route("/v1/models", _models),
            ]
        )

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        messages, asked = _said(body), asked_of(body)
        last = asked.question
        wanted, is_first = re.search(r"fail=(\d+)", last), asked not in self.asked
        self.asked.append(asked)
        if wanted and is_first:
            error = {"message": "the model is told to fail", "type": "server_error", "code": None, "param": None}
            return JSONResponse({"error": error}, int(wanted[1]))
        await asyncio.sleep(_number("slow", last))
        message = _message(body, messages, last)
        if body.get("stream"):
            return StreamingResponse(_chunks(body, message), media_type="text/event-stream")
        return JSONResponse(
            {
                **_head("chat.completion", body),
                "choices": [{"index": 0, "message": message, "finish_reason": _reason(message)}],
                "usage": _usage(messages, message),
            }
        )


def _message(body: dict[str, Any], messages: list[tuple[str, str]], last: str) -> dict[str, Any]:
    """What the assistant says: a call while rounds of tools are left, else everything it was sent."""
    done = 0
    for role, _ in messages:
        done = 0 if role == "user" else done + (role == "tool")
    tools = [tool["function"]["name"] for tool in body.get("tools") or () if tool.get("type") == "function"]
    rounds = 1 if "search" in last else _number("rounds", last)
    if tools and done < rounds:
        arguments = {"query": last} if "search" in last else {"name": f"bolt {done + 1}"}
        call = {"name": tools[0], "arguments": json.dumps(arguments)}
        calls = [{"id": f"call_{time.time_ns()}", "type": "function", "function": call}]
        return {"role": "assistant", "content": None, "tool_calls": calls}
    said = "\n".join(f"{role}: {text}" for role, text in messages if role != "system" and text)
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
    if schema:
        return {"role": "assistant", "content": json.dumps(dict.fromkeys(schema["properties"], said))}
    return {"role": "assistant", "content": said}


async def _chunks(body: dict[str, Any], message: dict[str, Any]) -> AsyncIterator[str]:
    """The message as server-sent events, a few words at a time."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if message.get("tool_calls"):
        deltas += [{"tool_calls": [{"index": 0, **message["tool_calls"][0]}]}]
    else:
        deltas += [{"content": piece} for piece in re.findall(r"\S+\s*|\s+", message["content"])]
    for delta in deltas:
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        yield _event({**_head("chat.completion.chunk", body), "choices": [choice]})
        await asyncio.sleep(_WORD_S)
    end = {"index": 0, "delta": {}, "finish_reason": _reason(message)}
    yield _event({**_head("chat.completion.chunk", body), "choices": [end]})
    if (body.get("stream_options") or {}).get("include_usage"):
        usage = _usage([], message)
        yield _event({**_head("chat.completion.chunk", body), "choices": [], "usage": usage})
    yield "data: [DONE]\n\n"


def _event(chunk: dict[str, Any]) -> str:
    return f"data: {json.dumps(chunk)}\n\n"


def _head(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"id": f"chatcmpl-{time.time_ns()}", "object": kind, "created": int(time.time()), "model": body["model"]}


def _reason(message: dict[str, Any]) -> str:
    return "tool_calls" if message.get("tool_calls") else "stop"


def _usage(messages: list[tuple[str, str]], message: dict[str, Any]) -> dict[str, int]:
    read = sum(len(text.split()) for _, text in messages) + 1
    written = len(str(message.get("content")).split())
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _said(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], _text(message.get("content"))) for message in body.get("messages") or ()]


def _text(content: object) -> str:
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return str(content or "")


def _number(name: str, text: str) -> float:
    found = re.search(rf"{name}=([\d.]+)", text)
    return float(found[1]) if found else 0.0


async def _models(request: Request) -> Response:
    names = (NAME, EMBEDDINGS)
    return JSONResponse(
        {"object": "list", "data": [{"id": n, "object": "model", "created": 0, "owned_by": "check"} for n in names]}
    )


async def _embed(request: Request) -> Response:
    """A vector of the words: texts with the same words are near to each other."""
    body = await request.json()
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    data = [{"object": "embedding", "index": at, "embedding": _vector(str(text))} for at, text in enumerate(texts)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return JSONResponse({"object": "list", "data": data, "model": body["model"], "usage": usage})


def _vector(text: str) -> list[float]:
    vector = [0.001] * DIMENSIONS
    for word in re.findall(r"\w+", text.lower()):
        vector[int.from_bytes(hashlib.sha256(word.encode()).digest()[:4]) % DIMENSIONS] += 1.0
    return vector
