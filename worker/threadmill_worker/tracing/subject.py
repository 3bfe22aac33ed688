"""What the spans of an attempt say of its job and its server."""

from dataclasses import dataclass
from typing import Any

from threadmill.job.prompt import PromptJob
from threadmill.settings.endpoints.endpoint import Endpoint, EndpointKind
from threadmill_worker.tracing import content
from threadmill_worker.tracing.http_calls import server_of

#: Kinds of endpoints that are providers of their own; the others speak OpenAI's API.
_PROVIDERS = {EndpointKind.AZURE: "azure.ai.openai", EndpointKind.DAVINCI: "davinci"}


@dataclass(frozen=True)
class Subject:
    """`queue`: the name of Celery's queue. `assistant`: '' on the Responses API. `model`: None is the assistant's."""

    queue: str
    job: PromptJob
    endpoint: Endpoint
    assistant: str = ""
    model: str | None = None
    instructions: str | None = None

    @property
    def run_name(self) -> str:
        """The name of the span of a run: that of an agent invoked, or of a chat with a model."""
        named = self.job.profile if self.assistant else self.model
        return " ".join(each for each in (self._operation, named) if each)

    @property
    def _operation(self) -> str:
        return "invoke_agent" if self.assistant else "chat"

    def of_run(self) -> dict[str, Any]:
        """Returns the attributes that the span of a run begins with."""
        job = self.job
        found = {
            "gen_ai.operation.name": self._operation,
            "gen_ai.provider.name": _PROVIDERS.get(self.endpoint.kind, "openai"),
            "gen_ai.agent.id": self.assistant or None,
            "gen_ai.agent.name": job.profile if self.assistant else None,
            "gen_ai.request.model": self.model,
            "gen_ai.request.temperature": job.temperature,
            "gen_ai.request.top_p": job.top_p,
            "gen_ai.request.max_tokens": job.max_completion_tokens,
            "gen_ai.request.stream": job.stream or None,
            "gen_ai.output.type": _output_type(job.response_format),
            **server_of(self.endpoint.base_url),
        }
        if content.is_captured():
            found["gen_ai.input.messages"] = content.given(job)
            if self.instructions:
                found["gen_ai.system_instructions"] = content.instructions(self.instructions)
        return {name: value for name, value in found.items() if value is not None}


def _output_type(response_format: Any) -> str | None:
    kind = response_format.get("type") if isinstance(response_format, dict) else response_format
    if kind is None:
        return None
    return "json" if str(kind).startswith("json") else "text"
