"""Whatever happens to the calls, the workers and the clock: a job ends, and ends as its runs did."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.lifecycle.model_server import ENDS, STOPS, Life, ModelServer, Run, answer_of
from tests.unit.lifecycle.model_worker import CANCELS, CRASHES, LIMITS, START, Fault, ModelWorker

from threadmill.job.result import FailureKind, JobState
from threadmill_worker.lifecycle.progress import Features, Outcome, Progress
from threadmill_worker.lifecycle.steps.recovery.call_errors import CLEANUP_TRIES

#: Failures that tell of a run, and the statuses it may have.
TELLS = {
    FailureKind.INCOMPLETE: {"incomplete"},
    FailureKind.EMPTY_ANSWER: {"completed"},
    FailureKind.EXPIRED: {"expired"},
    FailureKind.SERVER_ERROR: {"failed"},
    FailureKind.REJECTED: {"failed"},
    FailureKind.CANCELLED_REMOTELY: {"cancelled"},
}

lives = st.builds(
    Life,
    end=st.sampled_from(ENDS),
    rounds=st.integers(0, 3),
    calls=st.integers(1, 3),
    queued_s=st.sampled_from([0.5, 5.0, 25.0, 200.0]),
    work_s=st.sampled_from([0.0, 3.0, 20.0, 50.0]),
    stop=st.sampled_from(STOPS),
    expires=st.booleans(),
    makes=st.integers(0, 2),
)
servers = st.builds(
    ModelServer,
    st.lists(lives, min_size=1, max_size=3),
    undeletable=st.integers(0, 2),
    clock_skew_s=st.sampled_from([0.0, -900.0, 900.0]),
    tells=st.booleans(),
)
jobs = st.builds(
    Progress,
    deadline_at=st.sampled_from([180.0, 5.0, 30.0, 70.0, 1000.0]).map(lambda timeout_s: START + timeout_s),
    messages=st.sampled_from([1, 32, 34]),
    features=st.builds(Features, uploads=st.integers(0, 2), search=st.booleans(), steps=st.booleans()),
)
#: So many steps without a fault, then so many with this one.
spells = st.tuples(st.integers(0, 12), st.sampled_from(Fault), st.sampled_from([1, 2, 6, 16]))
faults = st.lists(spells, max_size=12).map(
    lambda spells: [fault for quiet, fault, times in spells for fault in [Fault.NONE] * quiet + [fault] * times]
)


@settings(max_examples=300, deadline=None)
@given(jobs, servers, faults)
def test_a_job_ends_as_its_runs_did_and_leaves_nothing_behind(
    job: Progress, server: ModelServer, faults: list[Fault]
) -> None:
    worker = ModelWorker(job, server, faults)
    outcome = worker.execute()
    server.live_on(worker.now)
    last = server.runs[-1] if server.runs else None
    check_outcome(outcome, last, worker)
    check_runs(server, worker)
    check_leftovers(server, worker)


def check_outcome(outcome: Outcome, last: Run | None, worker: ModelWorker) -> None:
    """The outcome tells the truth."""
    kind = outcome.failure.kind if outcome.failure else None
    assert (outcome.state is JobState.SUCCEEDED) == (kind is None)
    if outcome.state is JobState.SUCCEEDED:
        assert last is not None
        assert last.status == "completed"
        assert last.ordinal == worker.progress.runs
        assert outcome.content == answer_of(last)
    if outcome.state is JobState.CANCELLED:
        assert worker.happened & CANCELS
    if kind is FailureKind.OVERDUE:
        assert worker.now >= worker.progress.deadline_at
    assert kind is not FailureKind.RATE_LIMITED
    if kind is FailureKind.UNREACHABLE:
        assert worker.happened & {Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.BUSY}
    if worker.happened <= {Fault.NONE, Fault.SLOW, Fault.JUMP, Fault.LIMITED}:  # the server answered all along
        assert kind in (None, FailureKind.OVERDUE, FailureKind.STUCK) or (last and last.status in TELLS[kind])


def check_runs(server: ModelServer, worker: ModelWorker) -> None:
    """No more runs and tool calls than need be."""
    assert sum(run.life.end != "rate_limit_exceeded" for run in server.runs) <= 1 + LIMITS.max_reruns
    assert 0 <= worker.progress.limited_s <= worker.now - START
    assert worker.progress.runs <= len(server.runs)
    assert len({(run.thread, run.ordinal) for run in server.runs}) == len(server.runs)
    accepted = Counter(call for run in server.runs for call in run.accepted)
    assert set(accepted.values()) <= {1}
    assert {f'"{call.partition("/")[2]}"' for call in accepted} <= worker.executed.keys()
    if not worker.happened & (CRASHES | CANCELS):
        assert set(worker.executed.values()) <= {1}
    assert worker.progress.cost.usage.total_tokens <= 2 * sum(not run.alive for run in server.runs)


def check_leftovers(server: ModelServer, worker: ModelWorker) -> None:
    """What is left on the server is known; no thread is deleted under a run that could be stopped."""
    leftovers = worker.progress.leftovers
    assert len(server.threads.keys() - {leftover.id for leftover in leftovers}) <= worker.progress.lost.threads
    assert all(leftover.tries == CLEANUP_TRIES for leftover in leftovers)
    known, made = {leftover.id for leftover in leftovers}, {file_id for run in server.runs for file_id in run.made}
    unknown = (server.files - made | server.stores.keys()) - known
    assert len(unknown) <= worker.progress.lost.files
    if worker.happened <= {Fault.NONE, Fault.SLOW, Fault.JUMP, *CANCELS}:  # every answer could be read
        seen = [run for run in server.runs[-1:] if run.life.stop in ("at once", "slow")]  # others may end unseen
        assert not {file_id for run in seen for file_id in run.made} & server.files
    pulled_away = [run for run in server.deleted_alive if run.life.stop in ("at once", "slow")]
    assert not pulled_away or worker.most_troubles >= CLEANUP_TRIES
