"""What a server of the Responses API can do, as the settings and its replies say."""

from typing import Any

import openai

from threadmill_worker.drivers.error_bodies import read_error
from threadmill_worker.lifecycle.observations import ENDED

#: Statuses of a request with a parameter that the server does not accept; 422 is FastAPI's.
_REFUSING = frozenset({400, 422})


class Capabilities:
    """What the server of one endpoint can do. `background`: as the settings say."""

    def __init__(self, *, background: bool) -> None:
        self.asks_background = background  #: whether requests ask for it
        self.waits = not background  #: whether a reply may come only when the response has ended
        self.ignores_previous = False  #: whether it answers as if no previous response was named
        self._is_background_proven = False

    def background_answered(self, body: dict[str, Any], *, streamed: bool) -> None:
        """A request for a background response was answered. Some servers ignore `background`."""
        is_at_work = not streamed and body.get("status") not in ENDED
        self._is_background_proven = is_at_work or body.get("background") is True
        self.waits = not self._is_background_proven

    def background_unanswered(self) -> None:
        """No reply came in time: the server may be waiting for the response to end."""
        self.waits = self.waits or not self._is_background_proven

    def background_refused(self) -> None:
        """The server accepted the same request without `background`."""
        self.asks_background, self.waits = False, True


def refuses_background(error: openai.APIStatusError) -> bool:
    """Whether the server may have rejected `background`."""
    said = read_error(error.response.text)
    is_about_it = said.param == "background" or "background" in said.message.lower()
    return is_about_it and error.status_code in _REFUSING
