"""A response: one stretch of work of a run, with its history."""

from dataclasses import dataclass, field

from threadmill_emulator.content.frames import Frames
from threadmill_emulator.content.text import tokens
from threadmill_emulator.ids import new_id
from threadmill_emulator.responses.context import text
from threadmill_emulator.responses.conversations import Conversation
from threadmill_emulator.responses.items import Item
from threadmill_emulator.runs.run import Run
from threadmill_emulator.schemas.responses import CreateResponse

KEPT_S = 600  #: how long a background response that is not stored can be retrieved after its end


@dataclass
class Response:
    asked: CreateResponse
    run: Run
    read: list[Item]  #: the items before its input
    input: list[Item]
    conversation: Conversation | None
    id: str = field(default_factory=lambda: new_id("resp"))
    planned_output: list[Item] | None = None  #: its output, once generated
    output: list[Item] = field(default_factory=list)
    usage: dict[str, int] | None = None
    ended: float | None = None
    transcript: Frames | None = None  #: its events, if it is streamed
    polls: int = 0  #: how often it was retrieved

    @property
    def status(self) -> str:
        """The status of its run. Where the run waits for tool outputs, the response is complete.
        A response that is not in the background is never shown as queued."""
        shown = {"requires_action": "completed"} | ({} if self.asked.background else {"queued": "in_progress"})
        return shown.get(self.run.status, self.run.status)

    def kept(self, now: float) -> bool:
        if self.asked.store is not False:
            return True
        return bool(self.asked.background) and (self.ended is None or now < self.ended + KEPT_S)

    @property
    def all_read(self) -> list[Item]:
        return self.read + self.input

    @property
    def followed_plot(self) -> bool:
        """Whether an earlier answer cites an image."""
        parts = [part for item in self.all_read if item.get("role") == "assistant" for part in item["content"]]
        notes = [note for part in parts for note in part.get("annotations", [])]
        return any(note.get("filename", "").endswith(".png") for note in notes)

    def end(self, at: float, output: list[Item]) -> None:
        self.ended, self.output = at, output
        if self.status in ("completed", "incomplete"):
            read = tokens(self.asked.instructions or "") + sum(tokens(text(item)) for item in self.all_read)
            read, made = self.run.script.usage(read, sum(tokens(text(item)) for item in output))
            self.usage = {"input_tokens": read, "output_tokens": made, "total_tokens": read + made}
