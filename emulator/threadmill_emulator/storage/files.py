"""Uploaded and generated files, in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field

from threadmill_emulator.errors.api_error import no_file
from threadmill_emulator.ids import new_file_id


@dataclass(frozen=True)
class File:
    name: str
    data: bytes
    purpose: str
    created: float
    expires: int | None = None
    id: str = field(default_factory=new_file_id)


class Files:
    def __init__(self, clock: Callable[[], float], name: Callable[[], str] = new_file_id) -> None:
        """`name`: function that returns new ids."""
        self._clock, self._name = clock, name
        self._files: dict[str, File] = {}
        self.created = 0  #: how many have been created

    def add(self, name: str, data: bytes, purpose: str, lives_s: int | None = None) -> File:
        now = self._clock()
        expires = None if lives_s is None else int(now) + lives_s
        file = File(name, data, purpose, now, expires, self._name())
        self._files[file.id] = file
        self.created += 1
        return file

    def get(self, id: str) -> File:
        if id not in self:
            raise no_file(id)
        return self._files[id]

    def name(self, id: str) -> str:
        """Returns the file's name, or its id if it was deleted: messages outlive their files."""
        return self._files[id].name if id in self else id

    def delete(self, id: str) -> None:
        self.get(id)
        del self._files[id]

    def all(self) -> list[File]:
        """Oldest first."""
        return [file for id, file in list(self._files.items()) if id in self]

    def __contains__(self, id: str) -> bool:
        file = self._files.get(id)
        if file and file.expires is not None and file.expires <= self._clock():
            del self._files[id]
            return False
        return file is not None
