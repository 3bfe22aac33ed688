"""An emulator: its options, its state and its faults."""

import time
from collections.abc import Callable

from threadmill_emulator.http.replays import Replays
from threadmill_emulator.scripting.faults import Faults
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.state.server_state import ServerState


class Emulator:
    def __init__(self, options: Options, clock: Callable[[], float] = time.time) -> None:
        self.options, self._clock = options, clock
        self.reset()

    def reset(self) -> None:
        """Deletes all objects, statistics and faults."""
        self.state = ServerState(self._clock, self.options)
        self.replays = Replays()
        self.faults = Faults(self.options.faults, self.options.seed)
