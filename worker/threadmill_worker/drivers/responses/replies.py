"""Reads the replies of Responses servers as observations. Missing and odd fields are tolerated: servers differ.

Source: developers.openai.com/api/reference/resources/responses; openai-python types/responses.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from threadmill.job.result import Usage
from threadmill_worker.drivers.files import IN_CONTAINER
from threadmill_worker.drivers.replies.error_bodies import error_in
from threadmill_worker.drivers.replies.json import as_dict, as_number, as_word, own_tools, parse_id, took_s
from threadmill_worker.lifecycle.observations import ANSWERED, ENDED, AnswerRead, RunObservation, ToolCall

#: The kind of leftover of a response.
RESPONSE = "response"

#: The prefix of ids that LiteLLM makes for polling. Its models do not know them, so no request can continue from such
#: a response, although LiteLLM repeats `previous_response_id` in its reply (litellm/proxy/response_polling).
_POLLED = "litellm_poll_"

#: Fields of a reasoning item with content: readable, or encrypted for the server that made it.
_REASONING = ("summary", "content", "encrypted_content")


def parse_response(body: dict[str, Any]) -> RunObservation:
    """Returns a response as a run. One that ends with function calls waits for their outputs. Raises NotTheApi."""
    error = error_in(body.get("error"))
    tells = body.get("status") in ANSWERED and isinstance(body.get("output"), list)
    calls = tuple(_calls(body)) if body.get("status") == "completed" else ()
    return RunObservation(
        id=parse_id(body),
        status="requires_action" if calls else str(body.get("status")),
        calls=calls,
        error_code=error.code,
        error_type=error.type,
        error_message=error.message,
        incomplete_reason=as_word(as_dict(body.get("incomplete_details")).get("reason")),
        usage=_usage(body.get("usage")),
        model=as_word(body.get("model")) or None,
        tier=as_word(body.get("service_tier")) or None,
        in_background=body.get("background") is True,
        functions=_functions(body.get("tools")),
        own_tools=own_tools(body.get("tools")),
        took_s=took_s(body),
        answer=parse_answer(body) if tells and not calls else None,
        steps=steps_of(body) if tells else None,
        kind=RESPONSE,
        is_kept=body.get("store") is not False and not str(body.get("id")).startswith(_POLLED),
        items=repeated(body) if calls else (),
        names_previous=body.get("previous_response_id") is not None,
    )


def parse_reply(body: dict[str, Any]) -> RunObservation:
    """Returns the response in the reply to its creation. If it has ended, only a background response is surely stored.

    LiteLLM's bridge replies with `store: true`, but stores nothing.
    """
    run = parse_response(body)
    has_ended = run.status in ENDED or bool(run.calls)
    return replace(run, is_kept=run.is_kept and body.get("background") is True) if has_ended else run


def parse_last_event(body: dict[str, Any]) -> RunObservation | None:
    """Returns the response in the event that ends a stream; None if it lacks the output, as on some servers."""
    if not (body.get("output") or body.get("error")):
        return None
    run = parse_reply(body)
    return run if run.status in ENDED or run.calls else None


def parse_answer(body: dict[str, Any]) -> AnswerRead:
    """Returns the answer in a response, and the containers in which its code ran."""
    return AnswerRead(blocks_of(body), _containers_of(body))


def blocks_of(body: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Returns the content blocks of its messages, without reasoning."""
    messages = [item for item in _items(body) if item.get("type") == "message"]
    parts = [as_dict(part) for message in messages for part in message.get("content") or ()]
    return tuple(block for part in parts for block in [_block(part)] if block)


def repeated(body: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Returns its output as input items of a later request: function calls, text and reasoning, in order."""
    return tuple(repeat for item in _items(body) if (repeat := _repeat(item)) is not None)


def steps_of(body: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Returns its steps, as in StepsRead."""
    return tuple(step for item in _items(body) for step in [_step(item)] if step)


def _containers_of(body: dict[str, Any]) -> tuple[str, ...]:
    """Returns the ids of the containers in which its code ran."""
    ids = (item.get("container_id") for item in _items(body) if item.get("type") == "code_interpreter_call")
    return tuple(dict.fromkeys(str(id) for id in ids if id))


def _functions(tools: Any) -> tuple[str, ...] | None:
    """Returns the names of the functions; None if they are not known. LiteLLM sends an empty list for any request."""
    if not isinstance(tools, list) or not tools:
        return None
    return tuple(str(as_dict(tool).get("name")) for tool in tools if as_dict(tool).get("type") == "function")


def _items(body: dict[str, Any]) -> list[dict[str, Any]]:
    output = body.get("output")
    return [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []


def _calls(body: dict[str, Any]) -> Iterator[ToolCall]:
    for item in _items(body):
        if item.get("type") == "function_call" and item.get("call_id"):
            yield ToolCall(str(item["call_id"]), str(item.get("name")), str(item.get("arguments") or ""))


def _repeat(item: dict[str, Any]) -> dict[str, Any] | None:
    """Returns an output item as an input item.

    Text is sent as a string: strict servers accept parts of an assistant only with their original ids.
    """
    match item.get("type"):
        case "function_call":
            return {name: item.get(name) for name in ("type", "call_id", "name")} | {
                "arguments": str(item.get("arguments") or "")
            }
        case "message":
            return assistant_message(blocks_of({"output": [item]}))
        case "reasoning" if any(item.get(name) for name in _REASONING):
            said = {name: item[name] for name in ("id", *_REASONING) if item.get(name)}
            return {"type": "reasoning", "summary": [], **said}
        case _:
            return None


def assistant_message(blocks: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """Returns the blocks of an answer as an input item; None if they have no text."""
    texts = (str(as_dict(block.get("text")).get("value") or "") or block.get("refusal") for block in blocks)
    text = "\n".join(str(each) for each in texts if each)
    return {"type": "message", "role": "assistant", "content": text} if text else None


def _block(part: dict[str, Any]) -> dict[str, Any] | None:
    match part.get("type"):
        case "output_text":
            notes = [_note(as_dict(note)) for note in part.get("annotations") or ()]
            return {"type": "text", "text": {"value": str(part.get("text") or ""), "annotations": notes}}
        case "refusal":
            return {"type": "refusal", "refusal": str(part.get("refusal") or "")}
        case _:
            return None


def _note(note: dict[str, Any]) -> dict[str, Any]:
    """Returns an annotation in the form of the Assistants API. The model made the files in containers."""
    match note.get("type"):
        case "container_file_citation":
            file_id = f"{note.get('container_id')}{IN_CONTAINER}{note.get('file_id')}"
            places = {name: note.get(name) for name in ("start_index", "end_index")}
            return {"type": "file_path", "file_path": {"file_id": file_id}, **places}
        case "file_citation":
            place = int(as_number(note.get("index")) or 0)  # after the character before
            places = {"start_index": place - 1, "end_index": place}
            file = {name: note.get(name) for name in ("file_id", "filename")}
            return {"type": "file_citation", "file_citation": file, **places}
        case "file_path":
            return {"type": "file_path", "file_path": {"file_id": note.get("file_id")}}
        case _:
            return note


def _step(item: dict[str, Any]) -> dict[str, Any] | None:
    match item.get("type"):
        case "code_interpreter_call":
            made = [as_dict(output) for output in item.get("outputs") or ()]
            logs = [str(output.get("logs")) for output in made if output.get("type") == "logs"]
            images = [output.get("url") for output in made if output.get("type") == "image"]
            return {
                "type": "code_interpreter",
                "input": str(item.get("code") or ""),
                "logs": "\n".join(logs),
                "images": images,
            }
        case "file_search_call":
            hits = [as_dict(hit) for hit in item.get("results") or ()]
            return {
                "type": "file_search",
                "results": [
                    {"file_id": hit.get("file_id"), "name": hit.get("filename"), "score": hit.get("score"),
                     "quote": hit.get("text")}
                    for hit in hits
                ],
            }  # fmt: skip
        case "function_call":
            call = {name: item.get(name) for name in ("name", "arguments")}
            return {"type": "function", **call, "call_id": str(item.get("call_id"))}
        case _:
            return None


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    return Usage(
        prompt_tokens=int(as_number(usage.get("input_tokens")) or 0),
        completion_tokens=int(as_number(usage.get("output_tokens")) or 0),
        total_tokens=int(as_number(usage.get("total_tokens")) or 0),
    )
