"""Whether a server of the Responses API works in the background: asked for by the settings, learnt from its replies."""

from typing import Any

import openai

from threadmill_worker.views import ENDED


class Background:
    """What the replies of one endpoint's server have shown to this process."""

    def __init__(self, *, wanted: bool) -> None:
        self.wanted = wanted  #: requests ask for it
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


def names_background(error: openai.BadRequestError) -> bool:
    """Whether `background` may be what the server does not take."""
    return error.param == "background" or "background" in error.response.text.lower()
