"""The scenarios, by name, and the scripts that they follow."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

QUOTA = "You exceeded your current quota, please check your plan and billing details."
RATE_LIMIT = "Rate limit reached for requests. Please try again in 1s."
TERMINAL = frozenset({"completed", "failed", "cancelled", "expired", "incomplete"})


@dataclass(frozen=True)
class Script:
    """The course of one run."""

    reply: str = "answer"  #: the kind of answer: a key of replies.REPLIES
    ends: str = "completed"  #: the status it ends with
    error: tuple[str, str] | None = None  #: last_error's code and message, when it fails
    reason: str = "max_completion_tokens"  #: incomplete_details.reason, when it ends incomplete
    hangs: str | None = None  #: the status in which it stays forever
    rounds: int = 0  #: how often it requests tool outputs
    calls: int = 1  #: tool calls per round
    tool: str | None = None  #: the function to call; default: the declared ones, else SEARCH
    broken: bool = False  #: the arguments of the calls are not JSON
    tier: str | None = None  #: the service tier that is used; None: the one that the request asks for
    flex_refusals: int = 0  #: how many requests for flex processing are refused first
    blind_polls: int = 0  #: how many replies with requires_action list no calls first
    run_s: float | None = None  #: how long the server works; default: the emulator's --run-s
    expires_s: float = 600.0  #: the run expires this long after its creation
    cancel_s: float = 0.2  #: how long it stays `cancelling`
    cancel_ends: str = "cancelled"  #: the status after a cancel, which a server does not guarantee
    lock: bool = False  #: a cancelled run stays `cancelling` forever
    times: int | None = None  #: how many runs follow the script; later ones complete
    used_tokens: int | None = None  #: tokens of its usage; default: estimated from its texts
    deltas: int | None = None  #: deltas of each message in a stream; default: one per word, up to 40
    key: str | None = None  #: what `times` counts by; default: the thread
    quirks: frozenset[str] = frozenset()  #: deviations from the wire format, see QUIRKS

    def usage(self, read: int, made: int) -> tuple[int, int]:
        """Returns the tokens that a run reports to have read and made. Arguments: those of its texts."""
        if self.used_tokens is None:
            return read, made
        return min(read, self.used_tokens), self.used_tokens - min(read, self.used_tokens)


#: Deviations of real servers. Each is also a scenario; `quirks=a,b` adds it to another one.
QUIRKS = {
    "string_content": "a message's content is a plain string",
    "empty_required_action": "required_action is {} instead of null once outputs were submitted",
    "bare_error": "last_error is a bare string",
    # LiteLLM, polling_via_cache: proxy/response_polling/background_streaming.py
    "polling_errors": "a failed response has one code for all errors; its message is an exception of a client",
    "no_usage": "runs and responses do not report their tokens",
    # OpenOpenAI: a run has the assistant's tools, whatever it was sent
    "ignores_tools": "the tools sent with a run are ignored: it shows, and calls, the assistant's own",
    # open-assistant-api (app/core/runner/llm_backend.py) passes json_object alone to its model
    "ignores_json_schema": "a response_format of type json_schema is ignored: the answer is prose",
    "float_times": "created_at is a float of whole seconds, and newest-first lists do not order within one",
    "no_run_filter": "a message's run_id is null and the run_id filter is ignored",
    "sparse": "runs lack every field that has no value",
    "no_expires_at": "expires_at is null",
    "refuses_cancel": "cancelling a queued or waiting run is refused",
    "late_expiry": "a waiting run does not expire before its outputs are submitted",
    "single_outputs": "outputs for some of the calls are accepted; the run waits for the rest",
    "late_submit_404": "outputs that the run does not wait for, such as a second submit, are answered 404",
    "late_submit_500": "the same with 500",
    "plain_not_found": "for an object that the thread lacks, or a lost thread, the reply is a 500 in plain text",
    "no_lock": "messages and runs are accepted during a run; a second run makes the first fail",
    "bad_annotations": "a citation has wrong indices, one marker has no annotation, a cited file does not exist",
    "stream_json": "stream=true is answered with plain JSON",
    "stream_drops": "the connection of a stream is dropped after the third delta",
    "stream_no_done": "a stream ends without its last run event and without done",
    "stream_error": "a stream ends with an error event in the form clients raise, and the run fails",
    "stream_flat_error": "the same, with data in the form that clients overlook",
    "stream_late_completed": "thread.run.completed follows thread.run.requires_action",
}

QUIRKS_OF_RESPONSES = frozenset(
    {
        "sparse",
        "no_usage",
        "bad_annotations",
        "polling_errors",
        "stream_json",
        "stream_drops",
        "stream_no_done",
        "stream_error",
    }
)


QUIRKS_OF_CHAT = frozenset({"no_usage", "stream_json", "stream_drops", "stream_no_done", "stream_error"})


def _quirk(name: str, **rest: Any) -> Script:
    return Script(quirks=frozenset({name}), **rest)


CALLS_ONCE: dict[str, Any] = {"reply": "tool_outputs", "rounds": 1}
FAILS: dict[str, Any] = {"ends": "failed", "error": ("server_error", "Sorry, something went wrong.")}

SCENARIOS: Mapping[str, Script] = {
    "emulator": Script(),
    "echo": Script(reply="echo"),
    "recall": Script(reply="recalled"),  # all earlier messages of the thread
    "tools": Script(reply="tool_outputs", rounds=1),
    "parallel_tools": Script(reply="tool_outputs", rounds=1, calls=3),
    "tool_rounds": Script(reply="tool_outputs", rounds=3),
    "bad_arguments": Script(reply="tool_outputs", rounds=1, broken=True),
    "unknown_tool": Script(reply="tool_outputs", rounds=1, tool="no_such_tool"),
    "slow_requires": Script(reply="tool_outputs", rounds=1, blind_polls=1),
    "code_interpreter": Script(reply="computed"),
    "plot": Script(reply="plotted"),
    "auto": Script(reply="auto"),  # uses a tool that the run has
    "citations": Script(reply="cited"),
    "reasoning": Script(reply="reasoned"),
    "no_flex_capacity": Script(flex_refusals=1_000_000),
    "failed": Script(**FAILS),
    "failed_once": Script(**FAILS, times=1),
    "rate_limited": Script(ends="failed", error=("rate_limit_exceeded", RATE_LIMIT)),
    "quota": Script(ends="failed", error=("rate_limit_exceeded", QUOTA)),
    "invalid_prompt": Script(ends="failed", error=("invalid_prompt", "Invalid prompt: it was flagged.")),
    "content_filter": Script(ends="failed", error=("content_filter", "The response was filtered.")),
    "expired": Script(ends="expired"),
    "expired_once": Script(ends="expired", times=1),
    "expired_tools": Script(reply="tool_outputs", rounds=1, expires_s=2.0),
    "incomplete": Script(ends="incomplete"),
    "cancelled": Script(ends="cancelled"),
    "stuck_queued": Script(hangs="queued"),
    "stuck": Script(hangs="in_progress"),
    "unknown_status": Script(hangs="paused"),
    "empty": Script(reply="nothing"),
    "empty_text": Script(reply="empty_text"),
    "refusal": Script(reply="refusal"),
    "blocks": Script(reply="blocks"),
    "two_messages": Script(reply="two_messages"),
    **{name: _quirk(name) for name in QUIRKS},
    "empty_required_action": _quirk("empty_required_action", **CALLS_ONCE),
    "bare_error": _quirk("bare_error", ends="failed", error=("server_error", "Something broke.")),
    "polling_errors": _quirk("polling_errors", ends="failed", error=("rate_limit_exceeded", RATE_LIMIT)),
    "late_expiry": _quirk("late_expiry", **CALLS_ONCE, expires_s=2.0),
    "single_outputs": _quirk("single_outputs", **CALLS_ONCE, calls=3),
    "late_submit_404": _quirk("late_submit_404", **CALLS_ONCE),
    "late_submit_500": _quirk("late_submit_500", **CALLS_ONCE),
    "bad_annotations": _quirk("bad_annotations", reply="blocks"),
    "stream_error": _quirk("stream_error", **FAILS),
    "stream_flat_error": _quirk("stream_flat_error", **FAILS),
    "stream_late_completed": _quirk("stream_late_completed", **CALLS_ONCE),
}


#: Quirks with which a chat completion that is streamed does not reach its client.
_BREAKING_STREAMS = frozenset({"stream_drops", "stream_no_done", "stream_error"})


class ScriptUses:
    """Counts the runs of scripts with `times`."""

    def __init__(self) -> None:
        self._runs: Counter[str] = Counter()

    def take(self, script: Script, default_key: str) -> Script:
        """Returns the script; after `times` uses, one that completes."""
        if script.times is None:
            return script
        key = script.key or default_key
        self._runs[key] += 1
        return script if self._runs[key] <= script.times else completing(script)


def completing(script: Script) -> Script:
    """Returns the script without anything that keeps the run from completing."""
    quirks = script.quirks - _BREAKING_STREAMS
    return replace(script, ends="completed", error=None, hangs=None, expires_s=Script.expires_s, quirks=quirks)


def without_thread(script: Script, quirks: frozenset[str]) -> Script:
    """Returns the script of a response or a chat completion: no expiry, no time for a cancel; a content filter makes it
    incomplete. `quirks`: those that it can have."""
    script = replace(script, expires_s=math.inf, cancel_s=0, lock=False, reason="max_output_tokens")
    script = replace(script, quirks=script.quirks & quirks)
    if script.ends == "expired":
        return replace(script, **FAILS)
    if script.error and script.error[0] == "content_filter":
        return replace(script, ends="incomplete", error=None, reason="content_filter")
    return script


def apply_settings(script: Script, settings: Mapping[str, Any]) -> Script:
    """Returns the script adapted to a run's tools, tool_choice and parallel_tool_calls."""
    if script.reply == "auto":
        script = replace(script, **_use_of({tool["type"] for tool in settings["tools"]}))
    choice = settings["tool_choice"]
    if choice == "none":
        reply = "answer" if script.reply == "tool_outputs" else script.reply
        return replace(script, rounds=0, reply=reply)
    if isinstance(choice, dict) and choice.get("function"):
        script = replace(script, tool=choice["function"]["name"])
    if (choice == "required" or script.tool) and not script.rounds and script.reply == "answer":
        script = replace(script, rounds=1, reply="tool_outputs")
    if script.calls > 1 and not settings["parallel_tool_calls"]:
        script = replace(script, rounds=script.rounds * script.calls, calls=1)
    return script


def _use_of(tools: set[str]) -> dict[str, Any]:
    """Returns the changes to a script that uses the first available of these tools."""
    uses = {"function": CALLS_ONCE, "code_interpreter": {"reply": "coded"}, "file_search": {"reply": "cited"}}
    return next((use for tool, use in uses.items() if tool in tools), {"reply": "answer"})
