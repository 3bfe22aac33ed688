"""A chat completion: one stretch of work of a run."""

from bisect import bisect_right
from dataclasses import dataclass, field, replace

from threadmill_emulator.chat.history import written
from threadmill_emulator.content.frames import Frames
from threadmill_emulator.content.output import Output
from threadmill_emulator.content.text import tokens
from threadmill_emulator.ids import new_key
from threadmill_emulator.runs.run import Run
from threadmill_emulator.runs.tool_calls import ToolCall
from threadmill_emulator.schemas.chat import CreateCompletion


@dataclass(frozen=True)
class Said:
    """The message that a completion ends with."""

    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    calls: tuple[ToolCall, ...] = ()
    is_cut: bool = False  #: whether the content is cut off at the limit of its request


def said(made: Output) -> Said:
    """Returns the output of a run as one message: its texts, without images and citations."""
    blocks = [block for content in made.contents for block in content]
    texts = [block["text"]["value"] for block in blocks if block["type"] == "text"]
    refusals = [block["refusal"] for block in blocks if block["type"] == "refusal"]
    return Said("\n\n".join(texts) if texts else None, refusals[0] if refusals else None, made.reasoning)


def cut(said: Said, limit: int | None) -> Said:
    """Returns the message with as much of its content as the limit of tokens allows."""
    text = said.content
    if limit is None or text is None or tokens(text) <= limit:
        return said
    length = bisect_right(range(len(text)), limit, key=lambda count: tokens(text[:count])) - 1
    return replace(said, content=text[:length], is_cut=True)


@dataclass
class Completion:
    asked: CreateCompletion
    run: Run
    quirks: frozenset[str] = frozenset()  #: those of the server
    id: str = field(default_factory=lambda: f"chatcmpl-{new_key()}")
    shown_id: str = ""  #: the id that clients see; empty: its id
    planned: Said | None = None  #: its message, once generated
    said: Said = field(default_factory=Said)
    usage: dict[str, int] | None = None
    ended: float | None = None
    transcript: Frames | None = None  #: its chunks, if it is streamed

    @property
    def has_failed(self) -> bool:
        return self.ended is not None and self.finish_reason is None

    @property
    def finish_reason(self) -> str | None:
        """None: it has not ended, or it has failed."""
        match self.run.status:
            case "completed":
                return "length" if self.said.is_cut else "stop"
            case "requires_action":
                # A call that tool_choice names is no decision of the model: it stops (OpenAI's guide function-calling).
                return "stop" if isinstance(self.run.settings["tool_choice"], dict) else "tool_calls"
            case "incomplete":
                return "content_filter" if self.run.script.reason == "content_filter" else "length"
        return None

    def end(self, at: float, said: Said) -> None:
        self.ended, self.said = at, said
        if self.finish_reason is None:
            return
        read = sum(tokens(written(message)) for message in self.asked.messages)
        made = [said.content, said.refusal, said.reasoning, *(call.arguments for call in said.calls)]
        read, wrote = self.run.script.usage(read, sum(tokens(text) for text in made if text))
        self.usage = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
