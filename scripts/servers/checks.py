"""What is asked of threadmill on each server. A check returns what its cell of the table says, or raises."""

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from servers.bench import ENDPOINT, Bench, Failed, Refused, succeeded, wait_until
from threadmill import EventKind, FailureKind, InvalidJob, JobResult, JobState

_JOBS = 100
_JOBS_OF_A_REAL_MODEL = 12
_PATIENCE_S = 180
_NO_CALL = "the model called nothing"
_DOCUMENT = "The harbour master of Vigo keeps seven lanterns in the blue shed."


def plain(bench: Bench) -> str:
    """A prompt and its answer, in as few calls as the server admits."""
    mark = _mark()
    result = bench.ask(f"Say {mark} again.")
    _check_answer(bench, result, mark)
    _check_asked(bench, mark, 1)
    if result.calls > bench.kind.plain_calls:
        raise Failed(f"{result.calls} calls, {bench.kind.plain_calls} would do")
    return f"ok, {result.calls} calls"


def tools(bench: Bench) -> str:
    """Two rounds of a tool; the model sees the question and both outputs. A real model may call none."""
    mark = _mark()
    result = bench.ask(f"{bench.words('tools')} How many bolts? {mark}", tools=["stock"])
    conversation = _last_conversation(bench, mark)
    found = conversation.count("there are seven pieces")
    if mark not in conversation or found < _rounds(bench):
        raise Failed(f"the model saw {found} outputs, and {'' if mark in conversation else 'not '}the question")
    if bench.running.backend.repeats and "there are seven pieces" not in result.text:
        raise Failed(f"the answer lacks the output of the tool: {result.text[:200]}")
    return f"ok, {result.calls} calls" if found else _NO_CALL


def steps(bench: Bench) -> str:
    """What the run did, beside its answer."""
    prompt = f"{bench.words('tools')} How many nuts? {_mark()}"
    result = bench.ask(prompt, include_steps=True, tools=["stock"])
    outputs = [step.get("output") for step in result.steps if step.get("type") == "function"]
    if len(outputs) < _rounds(bench) or not all(outputs):
        raise Failed(f"the steps are not the calls of the tool: {result.steps}")
    return f"ok, {result.calls} calls" if outputs else _NO_CALL


def _rounds(bench: Bench) -> int:
    """How many calls of the tool there must be."""
    return 2 if bench.running.backend.repeats else 0


def kept_thread(bench: Bench) -> str:
    """Three jobs on one thread; the model sees what was said before."""
    marks = [_mark() for _ in range(3)]
    first = bench.ask(f"Remember {marks[0]}.", keep_thread=True)
    if first.thread_id is None:
        raise Failed("the result names no thread")
    try:
        _check_follow_ups(bench, first.thread_id, marks)
    finally:
        bench.client.delete_thread(first.thread_id)
    return "ok"


def _check_follow_ups(bench: Bench, thread: str, marks: list[str]) -> None:
    for number, mark in enumerate(marks[1:], 2):
        result = bench.ask(f"What did I ask before {mark}?", thread=thread, keep_thread=True)
        conversation = _last_conversation(bench, mark)
        seen = sum(each in conversation for each in marks[:number])
        if seen < number:
            raise Failed(f"job {number} succeeded, and the model saw {seen} of {number} questions")
        thread = result.thread_id or thread


def stream(bench: Bench) -> str:
    """Text as it is written, to a follower."""
    mark = _mark()
    handle = bench.enqueue(f"{bench.words('slow', 2)} {'all of this again, ' * 10} until {mark}", stream=True)
    pieces = [event.text or "" for event in handle.events(120) if event.kind is EventKind.TEXT]
    result = succeeded(handle.wait(10))
    _check_answer(bench, result, mark)
    _check_asked(bench, mark, 1)
    if len(pieces) < 2:
        return "polled"
    if "".join(pieces).strip() != result.text.strip():
        raise Failed(f"a follower read {''.join(pieces)!r}, and the answer is {result.text!r}")
    return f"ok, {len(pieces)} pieces"


def cancel(bench: Bench) -> str:
    """A job whose model takes half a minute ends soon after it is cancelled."""
    mark = _mark()
    handle = bench.enqueue(f"{bench.words('slow', 30)} {mark}")
    wait_until(lambda: bool(bench.running.backend.questions(mark)), "the model to be asked")
    before = bench.client.store.now()
    bench.client.cancel(handle.id)
    result = handle.wait(60)
    if result.state is not JobState.CANCELLED:
        raise Failed(f"the job ended {result.state}")
    seconds = (result.timings.finished_at - before).total_seconds()
    if seconds > 20:
        raise Failed(f"the job ended {seconds:.0f} s after it was cancelled")
    return f"ok, in {seconds:.1f} s"


def structured(bench: Bench) -> str:
    """An answer that fits a JSON schema."""
    result = bench.enqueue(f"Answer {_mark()}.", response_format=_form(bench)).wait(_PATIENCE_S)
    if result.failure and result.failure.kind is FailureKind.INVALID_ANSWER and _asks_in_words(bench):
        raise Refused("asked in words, and an answer in prose fails as invalid_answer")
    succeeded(result)
    if not isinstance(result.parsed, Mapping) or "answer" not in result.parsed:
        raise Failed(f"not the JSON that was asked for: {result.text[:200]}")
    return "ok"


def _form(bench: Bench) -> dict[str, Any]:
    """The form of an answer. A small model does not end a text of any length."""
    answer = {"type": "string"} | ({} if bench.running.backend.repeats else {"enum": ["yes", "no"]})
    schema = {
        "type": "object",
        "properties": {"answer": answer},
        "required": ["answer"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def _asks_in_words(bench: Bench) -> bool:
    return not bench.client.settings.endpoints[ENDPOINT].supports.json_schema


def backend_fails(bench: Bench) -> str:
    """The backend's first reply is an error 500."""
    return _after_failure(bench, "fails")


def backend_limits(bench: Bench) -> str:
    """The backend's first reply is a rate limit, 429."""
    return _after_failure(bench, "limits")


def _after_failure(bench: Bench, word: str) -> str:
    mark = _mark()
    result = bench.ask(f"{bench.words(word)} Say {mark} again.")
    _check_answer(bench, result, mark)
    return f"ok, {len(bench.running.backend.questions(mark))} requests"


def file_search(bench: Bench) -> str:
    """A file to search: the answer has what only the file says."""
    path = bench.folder / "harbour.txt"
    path.write_text(_DOCUMENT)
    prompt = f"{bench.words('search')} lanterns of the harbour master {_mark()}"
    try:
        result = bench.ask(prompt, files=[str(path)])
    except InvalidJob as refusal:  # when it is enqueued: the settings say that the server takes no files
        raise Refused(str(refusal).removeprefix(f"{path}: ").partition(";")[0]) from None
    if "blue shed" not in result.text:
        raise Failed(f"the answer lacks what the file says: {result.text[:300]}")
    names = {citation.name for citation in result.citations}
    return f"ok, {result.calls} calls" + (f", cites {', '.join(filter(None, names))}" if names else "")


def killed(bench: Bench) -> str:
    """A hundred jobs, and one of two workers killed when a third of them are done."""
    batch = f"kill-{uuid.uuid4().hex[:8]}"
    jobs = _JOBS if bench.running.backend.repeats else _JOBS_OF_A_REAL_MODEL
    marks = [_mark() for _ in range(jobs)]
    handles = [bench.enqueue(f"{bench.words('slow', 1)} {mark}", batch=batch) for mark in marks]
    wait_until(lambda: _done(bench, batch) >= jobs // 3, "a third of the jobs")
    bench.workers.pop(0).kill()
    results = [handle.wait(180) for handle in handles]
    failures = Counter(str(result.failure.kind) for result in results if result.failure)
    if failures:
        first = next(result.failure.message for result in results if result.failure)
        raise Failed(f"{dict(failures)}, for one: {first}")
    wrong = sum(mark not in result.text for mark, result in zip(marks, results, strict=True))
    if wrong and bench.running.backend.repeats:
        raise Failed(f"{wrong} answers are another job's")
    asked = sum(len(bench.running.backend.questions(mark)) for mark in marks)
    bench.lost_runs += sum(result.lost_runs for result in results)
    return f"ok, {asked - jobs} asked twice"


def _done(bench: Bench, batch: str) -> int:
    return bench.client.batch(batch).jobs.get(JobState.SUCCEEDED, 0)


def nothing_left(bench: Bench) -> str:
    """All that the jobs made on the server is deleted."""
    wait_until(lambda: not bench.client.leftovers(), f"leftovers to be deleted: {bench.client.leftovers()[:3]}", 60)
    if bench.running.alive is None:
        return "ok, stores nothing"
    alive = bench.running.alive()
    if alive > bench.lost_runs:
        raise Failed(f"{alive} objects are left on the server; the jobs' results tell of {bench.lost_runs}")
    excepted = [f"{alive} lost with the killed worker"] if alive else []
    if bench.running.lasting is not None:
        excepted.append(f"{bench.running.lasting()} chat completions that no call deletes")
    return f"ok, but for {' and '.join(excepted)}" if excepted else "ok"


def doctor(bench: Bench) -> str:
    """`threadmill doctor`, with its round trip."""
    code, output = bench.threadmill("doctor", "--endpoint", ENDPOINT)
    if code:
        raise Failed(output.strip().splitlines()[-1])
    return "ok"


def _mark() -> str:
    return f"M{uuid.uuid4().hex[:10]}"


def _check_answer(bench: Bench, result: JobResult, mark: str) -> None:
    """The answers of a real model may say anything, but not nothing."""
    if not result.text or (bench.running.backend.repeats and mark not in result.text):
        raise Failed(f"the answer lacks {mark}: {result.text[:200]}")


def _check_asked(bench: Bench, mark: str, times: int) -> None:
    asked = len(bench.running.backend.questions(mark))
    if asked != times:
        raise Failed(f"the model was asked {asked} times instead of {times}")


def _last_conversation(bench: Bench, mark: str) -> str:
    asked = [each for each in bench.running.backend.asked if mark in each.conversation]
    if not asked:
        raise Failed("the model was not asked, or did not see the question")
    return asked[-1].conversation


CHECKS: Mapping[str, Callable[[Bench], str]] = {
    "doctor": doctor,
    "plain": plain,
    "tools": tools,
    "steps": steps,
    "kept-thread": kept_thread,
    "stream": stream,
    "cancel": cancel,
    "structured-output": structured,
    "backend-500": backend_fails,
    "backend-429": backend_limits,
    "file-search": file_search,
    "kill": killed,
    "nothing-left": nothing_left,
}
