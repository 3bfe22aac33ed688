"""The limits on a job's runs hold whatever the server says, whatever ids its replies carry."""

from collections import Counter
from dataclasses import dataclass
from itertools import cycle

from hypothesis import example, given, settings
from hypothesis import strategies as st

from threadmill.job.result import Usage
from threadmill.settings.endpoints.run_limits import RunLimits
from threadmill_worker.lifecycle import actions as act
from threadmill_worker.lifecycle import observations as obs
from threadmill_worker.lifecycle.decide import advance, intend
from threadmill_worker.lifecycle.observe import observe
from threadmill_worker.lifecycle.progress import Progress

START = 1_800_000_000.0
LIMITS = RunLimits(
    max_tool_rounds=3,
    max_reruns=2,
    queued_limit_s=30,
    run_limit_s=60,
    cancel_limit_s=10,
    first_poll_s=1,
    max_poll_interval_s=1,
)
#: A call takes so long.
CALL_S = 0.1
#: More than all runs may take together, so that no other limit than theirs ends the job.
TIMEOUT_S = 100_000.0
MOST_STEPS = 20_000

ID = "?"  #: in a reply: the id that was asked for
ids = st.sampled_from([ID, "new", "resp_1", "resp_2"])  #: "new": one that no reply had before
kinds = st.sampled_from([None, "response"])
statuses = st.sampled_from(
    ["queued", "in_progress", "requires_action", "cancelling", "failed", "expired", "completed", "pondering"]
)


@dataclass(frozen=True)
class Said:
    """What a reply about a run says."""

    id: str
    status: str
    tokens: int = 0


class Worker:
    """Drives one job against a server that says whatever it likes, and keeps count."""

    def __init__(self, replies: list[Said], kind: str | None) -> None:
        self._replies = cycle(replies)
        self._kind = kind
        self._ids = 0
        self.done: Counter[type[act.Action]] = Counter()
        self.longest_run_s = 0.0
        self.tokens: dict[str, int] = {}  #: that a reply showed last for a run that costs no more, by its id
        self.asked_for: list[set[str]] = []  #: the ids that were looked at or cancelled, by run and round
        self.progress = Progress(START + TIMEOUT_S, messages=1)

    def drive(self) -> None:
        now, started_at = START, START
        for _ in range(MOST_STEPS):
            self.progress, action = advance(self.progress, LIMITS, now)
            if isinstance(action, act.Finish):
                return
            self.done[type(action)] += 1
            self.progress = intend(self.progress, action, now)
            match action:
                case act.Wait(until):
                    now = until
                    continue
                case act.CallTools(calls):
                    for call in calls:
                        done = obs.OutputReady(call.id, "done")
                        self.progress = observe(self.progress, action, done, LIMITS, now)
                    continue
                case act.StartRun():
                    started_at = now
                    self.asked_for.append(set())
                case act.SubmitOutputs(run_id):
                    self.asked_for.append(set())
                case act.PollRun(run_id) | act.CancelRun(run_id):
                    self.asked_for[-1].add(run_id)
                    self.longest_run_s = max(self.longest_run_s, now - started_at)
            now += CALL_S
            self.progress = observe(self.progress, action, self._reply(action), LIMITS, now)
        raise AssertionError("the job does not end")

    def _reply(self, action: act.Action) -> obs.Observation:
        match action:
            case act.CreateThread():
                return obs.ThreadCreated("thread_1")
            case act.ReadAnswer():
                return obs.AnswerRead(())
            case act.Delete():
                return obs.Deleted()
            case act.StartRun() | act.SubmitOutputs() | act.PollRun() | act.CancelRun() | act.Resolve():
                return self._run(next(self._replies), action)
            case _:
                raise AssertionError(action)

    def _run(self, said: Said, action: act.Action) -> obs.RunObservation:
        asked = getattr(action, "run_id", "resp_1")
        self._ids += said.id == "new"
        run_id = {"new": f"resp_new_{self._ids}", ID: asked}.get(said.id, said.id)
        calls = (obs.ToolCall(f"call_{self._ids}", "weigh", "{}"),) if said.status == "requires_action" else ()
        if said.tokens and (said.status in obs.ENDED or (calls and self._kind)):
            is_new = isinstance(action, act.StartRun) or (
                isinstance(action, act.SubmitOutputs) and self._kind is not None
            )
            self.tokens[run_id if is_new else self.progress.run.id if self.progress.run else asked] = said.tokens
        return obs.RunObservation(run_id, said.status, calls, usage=Usage(total_tokens=said.tokens), kind=self._kind)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.builds(Said, ids, statuses, st.integers(0, 9)), min_size=1, max_size=12), kinds)
@example([Said("new", "requires_action")], "response")  # LiteLLM encrypts the id anew for each reply
@example([Said("new", "requires_action")], None)
@example([Said("new", "in_progress")], "response")
@example([Said("new", "queued")], None)
@example([Said("resp_1", "requires_action", 3)], "response")  # each round has the id of the first
def test_no_server_gets_more_runs_rounds_or_time_than_the_limits_allow(replies: list[Said], kind: str | None) -> None:
    worker = Worker(replies, kind)
    worker.drive()
    runs = worker.done[act.StartRun]
    assert runs == worker.progress.runs <= 1 + LIMITS.max_reruns
    assert worker.done[act.SubmitOutputs] <= runs * LIMITS.max_tool_rounds
    a_queue_for_each_round = (1 + LIMITS.max_tool_rounds) * LIMITS.queued_limit_s
    assert worker.longest_run_s <= LIMITS.run_limit_s + a_queue_for_each_round + LIMITS.cancel_limit_s + 1
    assert worker.progress.cost.usage.total_tokens == sum(worker.tokens.values()), "each id counts once, as seen last"
    assert all(len(asked) <= 1 for asked in worker.asked_for), "a run is asked for by the one id it has"
