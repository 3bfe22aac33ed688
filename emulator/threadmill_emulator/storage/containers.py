"""Containers of code_interpreter: they hold its files, and expire some time after their last use."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from threadmill_emulator.errors.responses_api import no_object
from threadmill_emulator.ids import new_id
from threadmill_emulator.storage.files import Files

LIVES_S = 20 * 60  #: how long a container exists after its last use


@dataclass
class Container:
    created: float
    last_active: float
    files: Files
    id: str = field(default_factory=lambda: new_id("cntr"))


class Containers:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._containers: dict[str, Container] = {}
        self.created = 0  #: how many have been created

    def make(self) -> Container:
        """Returns a new container, which exists for clients only after `keep`."""
        now = self._clock()
        return Container(now, now, Files(self._clock, lambda: new_id("cfile")))

    def keep(self, container: Container) -> None:
        self.created += container.id not in self._containers
        self._containers[container.id] = container
        container.last_active = self._clock()

    def get(self, id: str) -> Container:
        if id not in self:
            raise no_object("Container", id)
        self._containers[id].last_active = self._clock()
        return self._containers[id]

    def latest(self, ids: Iterable[str]) -> Container | None:
        """Returns the last of these containers that still exists."""
        return next((self.get(id) for id in reversed(list(ids)) if id in self), None)

    def delete(self, id: str) -> None:
        del self._containers[self.get(id).id]

    def all(self) -> list[Container]:
        return [container for id, container in list(self._containers.items()) if id in self]

    def __contains__(self, id: str) -> bool:
        container = self._containers.get(id)
        if container and self._clock() >= container.last_active + LIVES_S:
            del self._containers[id]
            return False
        return container is not None
