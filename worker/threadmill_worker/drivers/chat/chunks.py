"""Assembles the chunks of a stream to the completion that the server would have sent in one reply. PURE.

Source: openai-python types/chat/chat_completion_chunk.py. Chunks without choices, and usage in any of them, are usual.
"""

import json
from typing import Any

from threadmill_worker.answer.json_text import parse
from threadmill_worker.drivers.chat.thinking import Visible
from threadmill_worker.drivers.replies.json import as_dict

#: Fields of a message that arrive in pieces.
_TEXTS = ("content", "refusal", "reasoning_content", "reasoning")

#: Fields of a chunk that are those of the completion; the last value counts. Usage is in the last chunk, or in each.
_FIELDS = ("model", "service_tier", "usage", "error")


class Chunks:
    """The chunks of one stream."""

    def __init__(self) -> None:
        self.size = 0  #: characters so far
        self.is_finished = False  #: whether the server said why the answer ends, or reported an error
        self._body: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {}
        self._parts: list[Any] = []  #: of a content that is a list of parts
        self._calls: list[dict[str, Any]] = []
        self._choice: dict[str, Any] = {}
        self._visible = Visible()

    def feed(self, chunk: dict[str, Any]) -> str:
        """Adds a chunk. Returns what it adds to the text of the answer."""
        if not self._body.get("id") and chunk.get("id"):
            self._body["id"] = chunk["id"]
        self._body |= {name: chunk[name] for name in _FIELDS if chunk.get(name)}
        choices = chunk.get("choices")
        choice = as_dict(choices[0]) if isinstance(choices, list) and choices else {}
        self._choice |= {name: choice[name] for name in ("finish_reason", "error") if choice.get(name)}
        self.is_finished = bool(self._choice or self._body.get("error"))
        delta = as_dict(choice.get("delta"))
        for name in _TEXTS:
            if isinstance(delta.get(name), str):
                self._texts.setdefault(name, []).append(delta[name])
                self.size += len(delta[name])
        if isinstance(delta.get("content"), list):  # Mistral
            self._parts += delta["content"]
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            self._add_call(as_dict(call))
        return self._visible.feed(delta["content"]) if isinstance(delta.get("content"), str) else ""

    @property
    def body(self) -> dict[str, Any]:
        """The completion."""
        message: dict[str, Any] = {"role": "assistant"} | {name: "".join(said) for name, said in self._texts.items()}
        if self._parts:
            message["content"] = [*self._parts, {"type": "text", "text": message.get("content", "")}]
        if self._calls:
            calls = [{**call, "function": _joined(call["function"])} for call in self._calls]
            message["tool_calls"] = [{name: call[name] for name in call if name != "index"} for call in calls]
        return {**self._body, "choices": [{**self._choice, "message": message}]}

    def _add_call(self, delta: dict[str, Any]) -> None:
        """Adds a piece of a tool call, or a whole one."""
        function = as_dict(delta.get("function"))
        call = self._call_of(delta, function)
        if call is None:
            call = {"index": delta.get("index"), "id": None, "function": {"name": None, "arguments": []}}
            self._calls.append(call)
        call["id"] = call["id"] or delta.get("id")
        call["function"]["name"] = call["function"]["name"] or function.get("name")
        if delta.get("extra_content"):
            call["extra_content"] = delta["extra_content"]
        piece = function.get("arguments")
        if piece:
            text = piece if isinstance(piece, str) else json.dumps(piece, ensure_ascii=False)
            call["function"]["arguments"].append(text)
            self.size += len(text)

    def _call_of(self, delta: dict[str, Any], function: dict[str, Any]) -> dict[str, Any] | None:
        """Returns the call that the piece continues; None: it begins one.

        The index does not always tell: Gemini leaves it out (open-webui/computer #224), and gateways to Gemini send 0
        for each of several calls (su-kaka/gcli2api #406). So a piece also begins a call if its id is another one, or if
        it names a function and the arguments before it are complete.
        """
        index, id = delta.get("index"), delta.get("id")
        alike = [call for call in self._calls if index is None or call["index"] == index]
        if id and index is None:
            alike = [call for call in alike if call["id"] == id] or [call for call in alike[-1:] if not call["id"]]
        if not alike:
            return None
        last = alike[-1]
        if id and last["id"]:
            return last if last["id"] == id else None
        begins = bool(function.get("name") and last["function"]["name"]) and _is_complete(last["function"])
        return None if begins else last


def _joined(function: dict[str, Any]) -> dict[str, Any]:
    return {"name": function["name"], "arguments": "".join(function["arguments"])}


def _is_complete(function: dict[str, Any]) -> bool:
    """Whether the arguments are a whole JSON value."""
    try:
        parse("".join(function["arguments"]))
    except ValueError:
        return False
    return True
