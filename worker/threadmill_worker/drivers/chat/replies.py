"""Reads the replies of Chat Completions servers as observations. PURE. Odd and missing fields are tolerated.

Sources: openai-python types/chat/chat_completion.py; what differs is noted with the server that sends it.
"""

import json
from collections.abc import Collection, Iterator
from typing import Any

from threadmill.job.result import Usage
from threadmill_worker.drivers.chat.thinking import split_thinking
from threadmill_worker.drivers.replies.error_bodies import error_in
from threadmill_worker.drivers.replies.json import NotTheApi, as_dict, as_number, as_word
from threadmill_worker.lifecycle.observations import AnswerRead, RunObservation, ToolCall

#: Reasons why an answer ends too early, and their names on other APIs. `model_length` is Mistral's (mistralai/client-
#: python, models/chatcompletionchoice.py): the context is full.
_CUT = {"length": "max_completion_tokens", "model_length": "max_completion_tokens", "content_filter": "content_filter"}

#: Reasons that mean a failure: OpenRouter (openrouter.ai/docs/errors), vLLM (vllm/v1/engine/__init__.py), DeepSeek
#: (api-docs.deepseek.com/api/create-chat-completion).
_FAILED = frozenset({"error", "abort", "insufficient_system_resource"})

#: Where servers put the model's reasoning: DeepSeek, vLLM, llama.cpp, SGLang; OpenRouter, Ollama, newer vLLM.
_REASONING = ("reasoning_content", "reasoning")


def parse_completion(body: dict[str, Any], name: str, taken: Collection[str] = ()) -> RunObservation:
    """Returns a completion as a run: one call, which has ended or asks for tools. Raises NotTheApi.

    `name`: that of the call, because ids of servers repeat: Ollama draws one of 999 (middleware/openai.go). `taken`:
    ids of tool calls of earlier rounds.
    """
    choice = _choice(body)
    error = _error_of(body, choice)
    run_id = f"{name}:{body['id']}" if isinstance(body.get("id"), str) and body["id"] else name
    if error is not None:  # with status 200, because the answer had begun: OpenRouter, vLLM and SGLang in streams
        said = error_in(error)
        return RunObservation(
            run_id, "failed", error_code=said.code, error_type=said.type, error_message=said.message, is_call=True
        )
    message, reason = as_dict(choice.get("message")), str(choice.get("finish_reason"))
    items = tuple(_calls_of(message, taken)) if reason not in _CUT else ()
    calls = tuple(ToolCall(each["id"], each["function"]["name"], each["function"]["arguments"]) for each in items)
    status = "requires_action" if calls else "incomplete" if reason in _CUT else "completed"
    blocks, reasoning = blocks_of(message), reasoning_of(message)
    return RunObservation(
        run_id,
        status,
        calls=calls,
        incomplete_reason=_CUT.get(reason),
        usage=_usage(body.get("usage")),
        model=as_word(body.get("model")) or None,
        tier=as_word(body.get("service_tier")) or None,
        answer=None if calls else AnswerRead(blocks),
        steps=(*_reasoning_steps(reasoning), *map(_step, items)),
        is_kept=False,
        items=(assistant_message(blocks, items),) if calls else (),
        is_call=True,
    )


def blocks_of(message: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Returns the content blocks of a message, without reasoning."""
    text, refusal = _text_of(message)[1], message.get("refusal")
    notes = [as_dict(note) for note in _list(message.get("annotations"))]
    said = {"type": "text", "text": {"value": text, "annotations": notes}} if text.strip() else None
    refused = {"type": "refusal", "refusal": str(refusal)} if refusal else None
    return tuple(block for block in (said, refused) if block)


def reasoning_of(message: dict[str, Any]) -> str:
    """Returns the model's reasoning; '' if the server shows none."""
    field = next((message[name] for name in _REASONING if isinstance(message.get(name), str)), "")
    return "\n".join(text for text in (field.strip(), _text_of(message)[0]) if text)


def assistant_message(blocks: Collection[dict[str, Any]], calls: Collection[dict[str, Any]] = ()) -> dict[str, Any]:
    """Returns what the model said as a message of a later request. Reasoning is left out: DeepSeek refuses it."""
    texts = (str(as_dict(block.get("text")).get("value") or "") or block.get("refusal") for block in blocks)
    text = "\n".join(str(each) for each in texts if each)
    message = {"role": "assistant", "content": text or None}
    return {**message, "tool_calls": list(calls)} if calls else message


def _choice(body: dict[str, Any]) -> dict[str, Any]:
    """Returns the first choice; {} if the list is empty, as Azure's is when it filters the prompt."""
    choices = body.get("choices")
    if not isinstance(choices, list):
        if body.get("error"):
            return {}
        raise NotTheApi(f"the reply has no choices: {json.dumps(body)[:200]}")
    return as_dict(choices[0]) if choices else {}


def _error_of(body: dict[str, Any], choice: dict[str, Any]) -> Any:
    """Returns the error of a reply; None if it is a completion."""
    reason = choice.get("finish_reason")
    if reason in _FAILED:
        return choice.get("error") or body.get("error") or f"the server ended the answer: {reason}"
    return body.get("error") or None


def _text_of(message: dict[str, Any]) -> tuple[str, str]:
    """Returns the reasoning in the content, and the text. Mistral's content is a list with a part `thinking`."""
    content = message.get("content")
    if isinstance(content, str):
        return split_thinking(content)
    thinking, texts = [], []
    for part in map(as_dict, _list(content)):
        if part.get("type") == "thinking":
            thinking += [str(as_dict(each).get("text") or "") for each in _list(part.get("thinking"))]
        elif isinstance(part.get("text"), str):
            texts.append(part["text"])
    return "".join(thinking).strip(), "".join(texts)


def _calls_of(message: dict[str, Any], taken: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yields the tool calls as a later request repeats them, each with an id that no other call of the job has.

    Gemini sends none or '' (Arize-ai/phoenix #11376), and some servers count from 0 in each reply. Mistral accepts only
    ids of 9 letters and digits, so the ids that are made here have that form.
    """
    used, legacy = set(taken), message.get("function_call")
    listed = [as_dict(call) for call in _list(message.get("tool_calls"))]
    if not listed and isinstance(legacy, dict):  # before 2023-11, and some servers still
        listed = [{"function": legacy}]
    for call in listed:
        function = as_dict(call.get("function"))
        if not function.get("name"):
            continue
        given = call.get("id")
        call_id = given if isinstance(given, str) and given and given not in used else _new_id(used)
        used.add(call_id)
        # Gemini 3 requires its thought_signature back: ai.google.dev/gemini-api/docs/thought-signatures.
        kept = {"extra_content": call["extra_content"]} if call.get("extra_content") else {}
        named = {"name": str(function["name"]), "arguments": _arguments(function.get("arguments"))}
        yield {"id": call_id, "type": "function", "function": named, **kept}


def _new_id(used: Collection[str]) -> str:
    number = len(used) + 1
    while f"call{number:05d}" in used:
        number += 1
    return f"call{number:05d}"


def _arguments(arguments: Any) -> str:
    """Returns the arguments as text. Some versions of llama.cpp send an object (ggml-org/llama.cpp #20198)."""
    if isinstance(arguments, str):
        return arguments
    return "{}" if arguments is None else json.dumps(arguments, ensure_ascii=False)


def _reasoning_steps(reasoning: str) -> tuple[dict[str, Any], ...]:
    return ({"type": "reasoning", "text": reasoning},) if reasoning else ()


def _step(call: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", **call["function"], "call_id": call["id"]}


def _usage(usage: Any) -> Usage | None:
    """Returns the tokens. Some servers leave the sum out, or send null for a number."""
    if not isinstance(usage, dict):
        return None
    prompt, completion, total = (
        int(as_number(usage.get(f"{name}_tokens")) or 0) for name in ("prompt", "completion", "total")
    )
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=total or prompt + completion)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
