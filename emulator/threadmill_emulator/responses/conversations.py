"""Conversations: their items, and the response that locks them."""

from collections.abc import Callable
from dataclasses import dataclass, field

from threadmill_emulator.errors.responses_api import conversation_locked, no_object
from threadmill_emulator.ids import new_id
from threadmill_emulator.responses.items import Item


@dataclass
class Conversation:
    created: float
    metadata: dict[str, str]
    items: list[Item]
    id: str = field(default_factory=lambda: new_id("conv"))
    active: str | None = None  #: the id of the response that locks it

    def add(self, items: list[Item]) -> list[Item]:
        if self.active:
            raise conversation_locked()
        self.items += items
        return items


class Conversations:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._conversations: dict[str, Conversation] = {}
        self.created = 0  #: how many have been created

    def create(self, items: list[Item], metadata: dict[str, str]) -> Conversation:
        conversation = Conversation(self._clock(), metadata, items)
        self._conversations[conversation.id] = conversation
        self.created += 1
        return conversation

    def get(self, id: str) -> Conversation:
        if id not in self._conversations:
            raise no_object("Conversation", id)
        return self._conversations[id]

    def delete(self, id: str) -> None:
        """Deletes the conversation; its responses remain."""
        del self._conversations[self.get(id).id]

    def all(self) -> list[Conversation]:
        return list(self._conversations.values())
