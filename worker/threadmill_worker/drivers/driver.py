"""What the runner asks of a driver: carry an action out, and say what came of it."""

from typing import Protocol

from threadmill_worker.actions import (
    AddMessage,
    CancelRun,
    CreateThread,
    Delete,
    Look,
    ReadAnswer,
    Settle,
    StartRun,
    SubmitOutputs,
)
from threadmill_worker.progress import Progress
from threadmill_worker.views import View

#: The actions that need the server.
RemoteAction = CreateThread | AddMessage | StartRun | Look | Settle | SubmitOutputs | CancelRun | ReadAnswer | Delete


class Driver(Protocol):
    """Speaks to the server for one job."""

    calls: int  #: HTTP calls made so far

    async def do(self, action: RemoteAction, progress: Progress) -> View:
        """Carries the action out once. Never raises for what the server or the network did: that is a Trouble.

        Cancelling it leaves the outcome of a call under way unknown, as a lost reply does.
        """
        ...
