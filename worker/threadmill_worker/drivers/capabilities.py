"""What a server of the Responses API can do: asked for by the settings, learnt from its replies."""

from typing import Any

import openai

from threadmill_worker.drivers.error_bodies import read_error
from threadmill_worker.lifecycle.observations import ENDED

#: Statuses of a request with a parameter that the server does not take; 422 is FastAPI's.
_REFUSING = frozenset({400, 422})


class Capabilities:
    """What the replies of one endpoint's server have shown to this process."""

    def __init__(self, *, background: bool) -> None:
        self.asks_background = background  #: requests ask for it
        self.waits = not background  #: a reply may come only when the response has ended
        self.ignores_previous = False  #: it answers a request as if it named no previous response
        self._is_background_proven = False

    def background_answered(self, body: dict[str, Any], *, streamed: bool) -> None:
        """A request that asked for the background was answered; some servers ignore the wish."""
        is_at_work = not streamed and body.get("status") not in ENDED
        self._is_background_proven = is_at_work or body.get("background") is True
        self.waits = not self._is_background_proven

    def background_unanswered(self) -> None:
        """No reply came in the time that one takes: the server may be waiting for the response to end."""
        self.waits = self.waits or not self._is_background_proven

    def background_refused(self) -> None:
        """The server takes the same request without it."""
        self.asks_background, self.waits = False, True


def refuses_background(error: openai.APIStatusError) -> bool:
    """Whether `background` may be what the server does not take."""
    said = read_error(error.response.text)
    is_about_it = said.param == "background" or "background" in said.message.lower()
    return is_about_it and error.status_code in _REFUSING
