"""An emulator: its options, its state, its faults and its limits."""

import time
from collections.abc import Callable

from threadmill_emulator.http.replays import Replays
from threadmill_emulator.http.webhooks import Webhooks
from threadmill_emulator.limits.limiter import Limiter
from threadmill_emulator.scripting.faults import Faults
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.state.server_state import ServerState


class Emulator:
    def __init__(self, options: Options, clock: Callable[[], float] = time.time) -> None:
        self.options, self._clock = options, clock
        self.reset()

    def reset(self) -> None:
        """Deletes all objects and statistics; faults, limits and webhooks are those of the options again."""
        self.state = ServerState(self._clock, self.options)
        self.limiter = Limiter(self._clock, self.options.limits, self.advance_all)
        self.state.stats.on_end = self.limiter.ended
        self.replays = Replays()
        self.faults = Faults(self.options.faults, self.options.seed)
        self.webhooks = Webhooks(self.options.webhooks, self.options.webhook_secret, self._clock)

    def advance_all(self) -> None:
        """Advances all runs and responses to the current time."""
        self.state.advance_all()
        self.state.responses.advance_all()
        self.state.completions.advance_all()
