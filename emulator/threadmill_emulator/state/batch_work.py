"""The work on one request of a batch: a response or a chat completion, by the endpoint of the batch."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from threadmill_emulator.chat.engine import Completions
from threadmill_emulator.errors.refusals import parse
from threadmill_emulator.objects.assistants import Object
from threadmill_emulator.objects.completions import completion_object
from threadmill_emulator.objects.responses import response_object
from threadmill_emulator.responses.engine import Responses
from threadmill_emulator.runs.failures import failure
from threadmill_emulator.schemas.chat import CreateCompletion
from threadmill_emulator.schemas.responses import CreateResponse

Endpoint = Literal["/v1/responses", "/v1/chat/completions"]
Answer = tuple[int, Object]  #: status and body


class Work(Protocol):
    def answer(self) -> Answer | None:
        """Returns the answer; None: it is not known yet."""

    def drop(self) -> None:
        """Forgets the work: no client knows its id."""


class ResponseWork:
    def __init__(self, responses: Responses, body: Object) -> None:
        self._responses = responses
        self._response = responses.create(parse(CreateResponse, body), run_s=0)

    def answer(self) -> Answer | None:
        response = self._response
        self._responses.advance(response)
        if response.ended is None:
            return None
        if response.status in ("completed", "incomplete"):
            return 200, response_object(response, response.asked.include or ())
        self.drop()
        error = failure(response.run)
        return error.status, error.body()

    def drop(self) -> None:
        self._responses.drop(self._response)


class CompletionWork:
    def __init__(self, completions: Completions, body: Object) -> None:
        asked = parse(CreateCompletion, body)
        completions.check(asked)
        self._completions, self._completion = completions, completions.create(asked, run_s=0)

    def answer(self) -> Answer | None:
        self._completions.advance(self._completion)
        if self._completion.ended is None:
            return None
        if not self._completion.has_failed:
            return 200, completion_object(self._completion)
        error = failure(self._completion.run)
        return error.status, error.body()

    def drop(self) -> None:
        self._completions.leave(self._completion)


#: What begins the work on the body of a request; it raises ApiError if the request is refused.
Starters = Mapping[str, Callable[[dict[str, Any]], Work]]


def starters(responses: Responses, completions: Completions) -> Starters:
    """Returns, for each endpoint, what begins the work."""
    return {
        "/v1/responses": lambda body: ResponseWork(responses, body),
        "/v1/chat/completions": lambda body: CompletionWork(completions, body),
    }
