"""A model of an Assistants server and its driver, in memory: strict thread lock, runs that live by a script.

It answers the lifecycle's actions in the lifecycle's own views, as drivers/assistants/ would.
"""

from dataclasses import dataclass, field
from itertools import count

from threadmill.job.result import Artifact, FailureKind, Usage
from threadmill_worker.lifecycle import actions as act
from threadmill_worker.lifecycle import observations as obs
from threadmill_worker.lifecycle.progress import Intent, Leftover, Progress

#: The server gives a run up this long after it was made.
EXPIRES_S = 60.0

#: A vector store is ready this long after it was made.
INDEX_S = 2.0

#: A run with `stop="slow"` stays `cancelling` for so long.
STOPPING_S = 7.0

#: How a run may end, and how it takes being cancelled.
ENDS = (
    "completed",
    "empty",
    "incomplete",
    "server_error",
    "rate_limit_exceeded",
    "content_filter",
    "cancelled",
    "hangs",
)
STOPS = ("at once", "slow", "never", "refused")


@dataclass(frozen=True)
class Life:
    """What becomes of a run: so many rounds of tools, each after some time in the queue and at work, then its end."""

    end: str = "completed"
    rounds: int = 0
    calls: int = 2  #: per round
    queued_s: float = 1.0
    work_s: float = 3.0
    stop: str = "at once"
    expires: bool = True
    makes: int = 0  #: files, by its end


@dataclass
class Run:
    id: str
    thread: str
    ordinal: int
    life: Life
    created_at: float
    turn_at: float  #: when it was made or last given outputs
    round: int = 0
    status: str = "queued"
    cancel_at: float | None = None
    accepted: list[str] = field(default_factory=list)  #: ids of the calls whose outputs were taken in
    made: list[str] = field(default_factory=list)  #: ids of its files

    @property
    def alive(self) -> bool:
        return self.status not in obs.ENDED

    @property
    def calls(self) -> tuple[obs.ToolCall, ...]:
        if self.status != "requires_action":
            return ()
        asked = [f"{self.round}.{n}" for n in range(self.life.calls)]  # by a rerun again, under other ids
        return tuple(obs.ToolCall(f"{self.id}/{what}", "weigh", f'"{what}"') for what in asked)

    def live_on(self, now: float) -> None:
        """Brings the status up to the moment."""
        work_at = self.turn_at + self.life.queued_s
        turn_ends_at = work_at + self.life.work_s
        expires_at = self.created_at + EXPIRES_S if self.life.expires else float("inf")
        if not self.alive:
            return
        if self.cancel_at is not None:
            stopped = self.life.stop == "at once" or (self.life.stop == "slow" and now >= self.cancel_at + STOPPING_S)
            self.status = "cancelled" if stopped else "cancelling"
        elif now >= expires_at and (turn_ends_at >= expires_at or self.round < self.life.rounds):
            self.status = "expired"
        elif now < work_at:
            self.status = "queued"
        elif now < turn_ends_at or (self.round == self.life.rounds and self.life.end == "hangs"):
            self.status = "in_progress"
            if now >= expires_at:
                self.status = "expired"
        elif self.round < self.life.rounds:
            self.status = "requires_action"
        else:
            ends = {
                "empty": "completed",
                "completed": "completed",
                "incomplete": "incomplete",
                "cancelled": "cancelled",
            }
            self.status = ends.get(self.life.end, "failed")

    def view(self, clock_skew_s: float, *, tells: bool) -> obs.RunObservation:
        created_at = self.created_at + clock_skew_s
        return obs.RunObservation(
            id=self.id,
            status=self.status,
            calls=self.calls,
            expires_at=created_at + EXPIRES_S if self.life.expires and self.alive else None,
            created_at=created_at,
            error_code=self.life.end if self.status == "failed" else None,
            answer=obs.AnswerRead(answer_of(self)) if tells and self.status in obs.ANSWERED else None,
            usage=None if self.alive else Usage(prompt_tokens=1, completion_tokens=1, total_tokens=2),
        )


class ModelServer:
    """`lives[n]` is lived by the n-th run, the last one by all after it; `undeletable`: the n-th thread stays.

    `clock_skew_s`: by which its clock is ahead of ours. `tells`: the reply that shows a run's end holds its answer.
    """

    def __init__(
        self, lives: list[Life], undeletable: int = -1, clock_skew_s: float = 0.0, *, tells: bool = False
    ) -> None:
        self._tells = tells
        self._clock_skew_s = clock_skew_s
        self._undeletable = undeletable
        self._lives = lives
        self._run_ids, self._thread_ids = count(1), count(1)
        self._file_ids, self._store_ids = count(1), count(1)
        self.files: set[str] = set()  #: those that are there
        self.stores: dict[str, float] = {}  #: by the moment they were made
        self.threads: dict[str, list[int]] = {}  #: the messages' indices, of the threads that are there
        self.runs: list[Run] = []
        self.deleted_alive: list[Run] = []  #: runs whose thread was deleted under them

    def do(self, action: act.RemoteAction, progress: Progress, now: float) -> obs.Observation:
        self.live_on(now)
        thread = progress.thread_id or ""
        match action:
            case act.CreateThread(messages):
                thread = f"thread_{next(self._thread_ids)}"
                self.threads[thread] = list(range(messages))
                return obs.ThreadCreated(thread)
            case act.Delete(leftover) if leftover.id == f"thread_{self._undeletable}":
                return obs.Unknown("500 Internal Server Error", FailureKind.SERVER_ERROR)
            case act.Upload():
                return obs.Uploaded(self._new_file())
            case act.CreateStore():
                self.stores[f"vs_{next(self._store_ids)}"] = now
                return obs.StoreSeen(list(self.stores)[-1], ready=False)
            case act.PollStore(store_id) | act.AttachStore(store_id):
                return obs.StoreSeen(store_id, ready=now >= self.stores[store_id] + INDEX_S)
            case act.Resolve(Intent.CREATE_STORE):
                return obs.StoreSeen(list(self.stores)[-1], ready=False) if self.stores else obs.NothingFound()
            case act.Download(file_id):
                return obs.Downloaded(Artifact(file_id=file_id, name="chart.png", uri="/chart.png"))
            case act.NameFile(file_id):
                return obs.FileNamed(file_id, "source.txt")
            case act.Unlock():
                return obs.Unlocked()
            case act.Delete(Leftover("file", file_id)):
                self.files.discard(file_id)
                return obs.Deleted()
            case act.Delete(Leftover("vector_store", store_id)):
                self.stores.pop(store_id, None)
                return obs.Deleted()
            case act.Delete(leftover):
                if self.threads.pop(leftover.id, None) is not None:
                    self.deleted_alive += [run for run in self._of(leftover.id) if run.alive]
                return obs.Deleted()
            case act.Resolve(Intent.CREATE_THREAD | Intent.UPLOAD):
                return obs.Untraceable()
            case _ if thread not in self.threads:
                return obs.Gone(f"No thread found with id '{thread}'.")
            case act.AddMessage(index):
                if self._locked(thread):
                    return obs.Unknown(f"Can't add messages to {thread} while a run is active.", FailureKind.REJECTED)
                self.threads[thread].append(index)
                return obs.MessageAdded()
            case act.StartRun(ordinal):
                if self._locked(thread):
                    return obs.Unknown(f"Thread {thread} already has an active run.", FailureKind.REJECTED)
                life = self._lives[min(len(self.runs), len(self._lives) - 1)]
                self.runs.append(Run(f"run_{next(self._run_ids)}", thread, ordinal, life, now, now))
                return self._show(self.runs[-1])
            case act.PollRun(run_id):
                return self._show(self._run(run_id))
            case act.SubmitOutputs(run_id, outputs):
                return self._submit(self._run(run_id), outputs, now)
            case act.CancelRun(run_id):
                return self._cancel(self._run(run_id), now)
            case act.ReadAnswer(run_id):
                return obs.AnswerRead(answer_of(self._run(run_id)))
            case act.ReadSteps():
                return obs.StepsRead(())
            case act.InspectThread():
                return obs.ThreadSeen(None)
            case act.Resolve(intent):
                return self._resolve(intent, thread, progress)

    def live_on(self, now: float) -> None:
        for run in self.runs:
            was_alive = run.alive
            run.live_on(now)
            if was_alive and run.status in obs.ANSWERED and run.life.end != "empty" and run.thread in self.threads:
                run.made = [self._new_file() for _ in range(run.life.makes)]

    def _new_file(self) -> str:
        file_id = f"file-{next(self._file_ids)}"
        self.files.add(file_id)
        return file_id

    def alive_runs(self, now: float) -> list[Run]:
        self.live_on(now)
        return [run for run in self.runs if run.alive and run.thread in self.threads]

    def _submit(self, run: Run, outputs: dict[str, str], now: float) -> obs.RunObservation:
        """As the driver: a 400 for outputs that come too late or twice is settled by looking."""
        if run.calls:
            assert outputs.keys() == {call.id for call in run.calls}, "all outputs of a round, and no others"
            run.accepted += outputs
            run.round, run.turn_at, run.status = run.round + 1, now, "queued"
        return self._show(run)

    def _cancel(self, run: Run, now: float) -> obs.RunObservation:
        if run.alive and run.cancel_at is None and run.life.stop != "refused":
            run.cancel_at, run.status = now, "cancelling"
        return self._show(run)

    def _resolve(self, intent: Intent, thread: str, progress: Progress) -> obs.Observation:
        match intent:
            case Intent.ADD_MESSAGE:
                return obs.MessageAdded() if progress.messages_sent in self.threads[thread] else obs.NothingFound()
            case Intent.START_RUN:
                marked = [run for run in self._of(thread) if run.ordinal == progress.runs + 1]
                return self._show(marked[-1]) if marked else obs.NothingFound()
            case _:
                assert progress.run is not None
                return self._show(self._run(progress.run.id))

    def _show(self, run: Run) -> obs.RunObservation:
        return run.view(self._clock_skew_s, tells=self._tells)

    def _of(self, thread: str) -> list[Run]:
        return [run for run in self.runs if run.thread == thread]

    def _run(self, run_id: str) -> Run:
        return next(run for run in self.runs if run.id == run_id)

    def _locked(self, thread: str) -> bool:
        return any(run.alive for run in self._of(thread))


def answer_of(run: Run) -> tuple[dict[str, object], ...]:
    """The content of the one message a run writes, if it writes one."""
    if run.life.end == "empty":
        return ()
    images = ({"type": "image_file", "image_file": {"file_id": file_id}} for file_id in run.made)
    return ({"type": "text", "text": {"value": f"the answer of {run.id}", "annotations": []}}, *images)
