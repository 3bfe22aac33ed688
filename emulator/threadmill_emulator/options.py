"""What the emulator is started with."""

from dataclasses import dataclass, field

from threadmill_emulator.faults import FaultPlan


@dataclass(frozen=True)
class Options:
    run_s: float = 1.0  #: how long a run takes unless its scenario says otherwise
    latency_s: float = 0.0  #: added to every answer
    api_key: str | None = None  #: the only key accepted; None accepts any
    data_urls: bool = True  #: whether /v1 takes images as data URLs (DaVinci's path always does)
    poll_after_ms: int | None = None  #: sent as openai-poll-after-ms when a run is looked at
    seed: int = 0  #: of the dice that decide which requests are hit by a fault
    faults: FaultPlan = field(default_factory=FaultPlan)
