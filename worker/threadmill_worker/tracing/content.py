"""Prompts, answers, arguments and outputs in spans: only if the standard variable asks for them, and without secrets.

The variable is OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: `true`, `span_only` or `span_and_event`.
"""

import json
import os
from functools import cache
from typing import Any

from threadmill.job.prompt import PromptJob
from threadmill.secrets.redaction import redact

VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


@cache
def is_captured() -> bool:
    """Whether spans have the texts. It is read once."""
    return os.environ.get(VARIABLE, "").strip().lower() in ("true", "span_only", "span_and_event")


def text(value: str) -> str:
    return redact(value)


def given(job: PromptJob) -> str:
    """Returns `gen_ai.input.messages`; of images and files, only their kind."""
    return _json([{"role": each.role, "parts": _parts(each.content)} for each in job.conversation])


def instructions(text: str) -> str:
    """Returns `gen_ai.system_instructions`."""
    return _json([{"type": "text", "content": text}])


def output(text: str, status: str) -> str:
    """Returns `gen_ai.output.messages`. `status`: of the run."""
    reason = {"completed": "stop", "incomplete": "length"}.get(status, "error")
    return _json([{"role": "assistant", "parts": [{"type": "text", "content": text}], "finish_reason": reason}])


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    return [{"type": "text", "content": part.text} if part.type == "text" else {"type": part.type} for part in content]


def _json(value: Any) -> str:
    return redact(json.dumps(value, ensure_ascii=False))
