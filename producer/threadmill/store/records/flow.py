"""The name of a flow, as lua/include/flows.lua reads it too."""

from typing import NamedTuple, Self


class Flow(NamedTuple):
    """The parts of a flow's name, `PRIORITY|TENANT|BATCH|POOL POOL ...`. Its jobs have all of them in common."""

    priority: str
    tenant: str = ""
    batch: str = ""
    pools: tuple[str, ...] = ()  #: those that its jobs may use, the preferred first; empty: they wait for none

    @classmethod
    def parse(cls, name: str) -> Self:
        """Returns the parts of a name. Those that are missing are empty."""
        priority, tenant, batch, pools = [*name.split("|", 3), "", "", ""][:4]
        return cls(priority, tenant, batch, tuple(pools.split()))

    @property
    def name(self) -> str:
        return "|".join((self.priority, self.tenant, self.batch, " ".join(self.pools)))
