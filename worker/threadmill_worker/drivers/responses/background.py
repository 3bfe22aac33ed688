"""Whether a server of the Responses API works in the background: asked for by the settings, learnt from its replies."""

from typing import Any

import openai

from threadmill_worker.drivers.error_bodies import read_error
from threadmill_worker.lifecycle.observations import ENDED

#: Statuses of a request with a parameter that the server does not take; 422 is FastAPI's.
_REFUSING = frozenset({400, 422})


class Background:
    """What the replies of one endpoint's server have shown to this process."""

    def __init__(self, *, wanted: bool) -> None:
        self.wanted = wanted  #: requests ask for it
        self.ignores_previous = False  #: it answers a request as if it named no previous response
        self.waits = not wanted  #: a reply may come only when the response has ended
        self._is_proven = False

    def answered(self, body: dict[str, Any], *, streamed: bool) -> None:
        """A request that asked for it was answered; some servers ignore the wish."""
        is_at_work = not streamed and body.get("status") not in ENDED
        self._is_proven = is_at_work or body.get("background") is True
        self.waits = not self._is_proven

    def silent(self) -> None:
        """No reply came in the time that one takes: the server may be waiting for the response to end."""
        self.waits = self.waits or not self._is_proven

    def refused(self) -> None:
        """The server takes the same request without it."""
        self.wanted, self.waits = False, True


def refuses_background(error: openai.APIStatusError) -> bool:
    """Whether `background` may be what the server does not take."""
    said = read_error(error.response.text)
    is_about_it = said.param == "background" or "background" in said.message.lower()
    return is_about_it and error.status_code in _REFUSING
