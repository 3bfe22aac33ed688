"""Finds the order in which the messages of a thread were written. PURE.

Lists are sorted by `created_at`, in whole seconds. Some servers (open-assistant-api) list messages of one second in any
order, so that an answer can come before its question; others ignore `order`.
"""

from collections.abc import Sequence
from itertools import chain, groupby, pairwise, zip_longest
from typing import Any

from threadmill_worker.drivers.replies.json import as_number
from threadmill_worker.drivers.requests.tags import tag_of

Message = dict[str, Any]

#: Stands for the run of an answer that names none.
_NO_RUN = ""


def oldest_first(messages: Sequence[Message]) -> list[Message]:
    """Returns the messages of a thread, oldest first. `messages`: as the server listed them, with order=asc.

    Messages of one second are reordered only if their order cannot be right.
    """
    if any(_second(message) is None for message in messages):
        return list(messages)
    if messages and _moment(messages[0]) > _moment(messages[-1]):
        messages = messages[::-1]
    ordered: list[Message] = []
    for _, group in groupby(sorted(messages, key=_moment), _moment):
        together = list(group)
        before = ordered[-1] if ordered else None
        listed = (together, together[::-1])
        likely = (each for each in listed if _can_be(before, each) and _is_answered(before, each))
        possible = (each for each in listed if _can_be(before, each))
        ordered += next(chain(likely, possible), _by_turns(before, together))
    return ordered


def answers_of(run_id: str, messages: Sequence[Message], since: float | None) -> list[Message]:
    """Returns the messages that the last run of a thread wrote, in order.

    Some servers do not name the run. Then they are the answers after the last question, except those from before
    `since`: the second in which the run was created, by the server's clock.
    """
    ordered = oldest_first(messages)
    if named := [message for message in ordered if _run(message) == run_id]:
        return named
    questions = [place for place, message in enumerate(ordered) if _run(message) is None]
    after = ordered[questions[-1] + 1 :] if questions else ordered
    found = [message for message in after if _run(message) == _NO_RUN]
    return [message for message in found if since is None or _moment(message) >= int(since)] or found


def _second(message: Message) -> int | None:
    moment = as_number(message.get("created_at"))
    return None if moment is None else int(moment)


def _moment(message: Message) -> int:
    return _second(message) or 0


def _can_be(before: Message | None, messages: Sequence[Message]) -> bool:
    """Whether each run's answer follows a question, and the messages of each job are in its order.

    `before`: the last message of an earlier second. Answers of one second that name no run belong to one run.
    """
    last: dict[str, int] = {}
    if before is not None and _run(before) == _NO_RUN and any(_run(message) is None for message in messages):
        before = None
    for message in messages:
        job, number = _place(message)
        run = _run(message)
        is_lone_answer = run is not None and (before is None or _run(before) not in (None, run))
        is_torn_apart = job in last and before is not None and _place(before)[0] != job
        if is_lone_answer or is_torn_apart or last.get(job, -1) > number:
            return False
        last[job], before = number, message
    return True


def _is_answered(before: Message | None, messages: Sequence[Message]) -> bool:
    """Whether no job asks before the job before it has its answer. It does so only if a run brought no answer."""
    for earlier, later in pairwise([*filter(None, [before]), *messages]):
        if _run(earlier) is None and _run(later) is None and _place(earlier)[0] != _place(later)[0]:
            return False
    return True


def _by_turns(before: Message | None, messages: Sequence[Message]) -> list[Message]:
    """Alternates the messages of a job and the answers of a run."""
    questions: dict[str, list[Message]] = {}
    answers: dict[str | None, list[Message]] = {}
    for message in messages:
        if _run(message) is None:
            questions.setdefault(_place(message)[0], []).append(message)
        else:
            answers.setdefault(_run(message), []).append(message)
    asked = [sorted(group, key=_place) for group in questions.values()]
    answered = list(answers.values())
    first, second = (answered, asked) if before is not None and _run(before) is None else (asked, answered)
    turns = chain.from_iterable(zip_longest(first, second, fillvalue=[]))
    return list(chain.from_iterable(turns))


def _run(message: Message) -> str | None:
    """Returns the id of the run that wrote the message; None for a message of a job or a user."""
    is_answer = message.get("role") == "assistant" and tag_of(message) is None
    return str(message.get("run_id") or _NO_RUN) if is_answer else None


def _place(message: Message) -> tuple[str, int]:
    """Returns the job of the message and its index among the job's messages; for other messages, their id and 0."""
    job, _, what = (tag_of(message) or "").rpartition("/message-")
    return (job, int(what)) if job and what.isdecimal() else (str(message.get("id")), 0)
