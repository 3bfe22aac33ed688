"""The text of a job's events as the text of one answer, whoever reads it from the start or continues. PURE."""

from threadmill.job.events.event import Event, EventKind

#: Stands between two messages, as in the text of a result.
_BETWEEN = "\n\n"


class AnswerText:
    """Collects the text that a job's events bring. Pieces differ from one reading to the next, their text does not."""

    def __init__(self) -> None:
        self.text = ""
        self._message: str | None = None  #: the id of the message that wrote last

    def take(self, event: Event) -> str:
        """Returns the piece of text that an event adds; '' for other events."""
        if event.kind is not EventKind.TEXT or not event.text:
            return ""
        is_next = self._message is not None and event.message_id != self._message and bool(self.text)
        piece = _BETWEEN + event.text if is_next else event.text
        self._message = event.message_id
        self.text += piece
        return piece

    def rest(self, whole: str) -> str:
        """Returns what the events lack of the whole answer; '' if they wrote something else."""
        piece = whole[len(self.text) :] if whole.startswith(self.text) else ""
        self.text += piece
        return piece
