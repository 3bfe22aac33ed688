"""The steps that complete an answer: download its files, read their names and the run's steps. PURE."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from threadmill.job.result import Artifact
from threadmill_worker.answer.render import made_files, unnamed_files
from threadmill_worker.lifecycle.actions import Download, NameFile, ReadSteps, Step
from threadmill_worker.lifecycle.observations import AnswerPart, AnswerRead, Downloaded, FileNamed, StepsRead
from threadmill_worker.lifecycle.progress import Answer, CurrentRun, Leftover, Progress
from threadmill_worker.lifecycle.replace import replace
from threadmill_worker.lifecycle.steps.outcome import outcome_of, schema_error_of

#: Actions that complete an answer. A failure of one of them never loses the answer, which is paid for.
Completing = NameFile | Download | ReadSteps


def next_answer_step(progress: Progress, answer: Answer, now: float) -> Step:
    """Returns the next action that completes the answer, or the progress with the job's outcome if it is complete.

    After the first answer that does not match the response format, the job asks again.
    """
    problem = schema_error_of(progress, answer)
    if problem is not None and progress.schema_error is None and now < progress.deadline_at:
        return replace(progress, schema_error=problem, answer=None, run=None)
    for file_id in made_files(answer.blocks):
        if file_id not in answer.artifacts:
            return Download(file_id)
    for file_id in unnamed_files(answer.blocks):
        if file_id not in answer.names:
            return NameFile(file_id)
    if progress.features.steps and answer.steps is None and progress.run is not None:
        if progress.run.seen.is_kept:
            return ReadSteps(progress.run.id)
        answer = _with_shown_steps(progress.run, answer, "the server does not keep its responses")
    return replace(progress, outcome=outcome_of(progress, answer), answer=Answer(()))  # the outcome holds the text


def add_to_answer(progress: Progress, seen: AnswerPart) -> Progress:
    """Returns the progress with the observation added to the answer."""
    if isinstance(seen, AnswerRead):
        made = [Leftover("container", each) for each in seen.containers]
        made += [Leftover("file", each) for each in made_files(seen.blocks) if not each.startswith(seen.containers)]
        new = tuple(each for each in made if each not in progress.leftovers)
        blocks = seen.blocks if progress.outcome is None else ()  # during the clean-up only its files matter
        return replace(progress, answer=Answer(blocks), leftovers=(*progress.leftovers, *new))
    answer = progress.answer
    if answer is None:
        return progress
    match seen:
        case FileNamed(file_id, name):
            return replace(progress, answer=replace(answer, names={**answer.names, file_id: name}))
        case Downloaded(artifact):
            artifacts = {**answer.artifacts, artifact.file_id: artifact}
            kept = progress.leftovers
            if artifact.uri is None:  # the only copy is on the server
                kept = tuple(each for each in kept if each != Leftover("file", artifact.file_id))
            return replace(progress, answer=replace(answer, artifacts=artifacts), leftovers=kept)
        case StepsRead(steps):
            outputs = progress.run.outputs if progress.run is not None else {}
            return replace(progress, answer=replace(answer, steps=_with_outputs(steps, outputs)))


def answer_without(progress: Progress, action: Completing, reason: str) -> Progress:
    """Returns the progress without a part of the answer that the server does not provide."""
    match action:
        case NameFile(file_id):
            return add_to_answer(progress, FileNamed(file_id, file_id))
        case Download(file_id):
            error = f"could not be downloaded ({reason}); it is on the server as {file_id}"
            return add_to_answer(progress, Downloaded(Artifact(file_id=file_id, name=file_id, error=error)))
        case ReadSteps():
            if progress.answer is None or progress.run is None:
                return progress
            return replace(progress, answer=_with_shown_steps(progress.run, progress.answer, reason))


def _with_shown_steps(run: CurrentRun, answer: Answer, reason: str) -> Answer:
    """Returns the answer with the steps that earlier replies included. `reason`: why they cannot be read now."""
    shown = tuple(chain.from_iterable(run.shown_steps.values()))
    is_whole = len(run.shown_steps) > run.rounds
    steps, missing = _with_outputs(shown, run.outputs), None if is_whole else reason
    return replace(answer, steps=steps, missing_steps=missing)


def _with_outputs(steps: Iterable[dict[str, Any]], outputs: Mapping[str, str]) -> tuple[dict[str, Any], ...]:
    """Adds to function calls the outputs that the worker submitted."""
    return tuple(
        {**{name: value for name, value in step.items() if name != "call_id"}, "output": outputs.get(step["call_id"])}
        if "call_id" in step
        else step
        for step in steps
    )
