"""The capabilities of a Responses server, from the settings and from its replies."""

from typing import Any

import openai

from threadmill_worker.drivers.replies.error_bodies import read_error
from threadmill_worker.lifecycle.observations import ENDED

#: Statuses of a request with a parameter that the server does not accept; 422 is FastAPI's.
_REFUSING = frozenset({400, 422})


class Capabilities:
    """The capabilities of an endpoint's server. `background`: whether the settings say that it has background runs."""

    def __init__(self, *, background: bool) -> None:
        self.asks_background = background  #: whether requests ask for it
        self.waits = not background  #: whether a reply may come only when the response has ended
        self.ignores_previous = False  #: whether it answers as if no previous response was named
        self._is_background_proven = False

    def background_answered(self, body: dict[str, Any], *, streamed: bool) -> None:
        """Call it when a request for a background response was answered. Some servers ignore `background`."""
        is_at_work = not streamed and body.get("status") not in ENDED
        self._is_background_proven = is_at_work or body.get("background") is True
        self.waits = not self._is_background_proven

    def background_unanswered(self) -> None:
        """Call it when no reply came in time: the server may wait for the response to end."""
        self.waits = self.waits or not self._is_background_proven

    def background_refused(self) -> None:
        """Call it when the server accepted a rejected request without `background`."""
        self.asks_background, self.waits = False, True


def refuses_background(error: openai.APIStatusError) -> bool:
    """Whether the server may have rejected `background`."""
    said = read_error(error.response.text)
    is_about_it = said.param == "background" or "background" in said.message.lower()
    return is_about_it and error.status_code in _REFUSING
