"""The producer's verbs on the records in Redis: create once, get, wait, cancel, redrive, list."""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar, cast

import redis
from redis.commands.core import Script

from threadmill import keys, remote_scripts, scripts
from threadmill.errors import BatchNotFound, JobNotFound, StoreUnavailable, ThreadInUse, ThreadNotFound, WaitTimeout
from threadmill.events import Event, Story
from threadmill.job import PromptJob
from threadmill.record import Applied, BatchRecord, JobRecord, KeptThread, Leftover, Worker
from threadmill.result import Failure, FailureKind, JobResult, JobState
from threadmill.settings import Settings

#: A waiter looks up at least this often, so that no lost wake-up can hold it.
_BLOCK_S = 5.0

#: Between two tries of a reader while Redis is away: doubles from the first to the longest.
_PAUSE_FIRST_S = 0.1
_PAUSE_LONGEST_S = 2.0

#: Who follows a job says so for this long, and again in time.
_FOLLOWED_S = 10

#: Who enqueues a batch says so for this long, and again in time.
_SEEN_TO_S = 15

#: Entries of a stream read in one go.
_AT_ONCE = 1000

_T = TypeVar("_T")


@dataclass(frozen=True)
class Created:
    """What CREATE found or made."""

    job_id: str
    state: JobState
    digest: str
    is_new: bool


@dataclass(frozen=True)
class Finished:
    """An entry of a batch's stream: a job came to its end. `cursor` is where to read on."""

    cursor: str
    job_id: str
    state: JobState


class Store:
    """Blocking calls on one Redis; each raises StoreUnavailable when Redis does not answer.

    They do so at once, but for a reader that waits for results: it bears Redis being away for `redis_patience_s`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._prefix = settings.key_prefix
        self._keys = keys.Keys(settings.key_prefix)
        self._redis = redis.Redis.from_url(
            settings.redis_url, decode_responses=True, socket_timeout=_BLOCK_S * 3, socket_connect_timeout=5
        )
        self._create = self._redis.register_script(scripts.CREATE)
        self._finish = self._redis.register_script(scripts.FINISH)
        self._request_cancel = self._redis.register_script(scripts.REQUEST_CANCEL)
        self._redrive = self._redis.register_script(scripts.REDRIVE)
        self._forget_thread = self._redis.register_script(remote_scripts.FORGET_THREAD)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise StoreUnavailable(self._settings.redis_url, error) from error

    def _call(self, script: Script, *args: Any) -> Any:
        with self._reaching():
            return script(args=[self._prefix, *args])

    def ping(self) -> str:
        """The server's version."""
        with self._reaching():
            return str(self._redis.info("server")["redis_version"])

    def create(self, jobs: Sequence[tuple[str, PromptJob]]) -> list[Created]:
        """Makes the records of checked jobs, in one round trip; a known idempotency key gives the job it has."""
        with self._reaching(), self._redis.pipeline(transaction=False) as pipe:
            for job_id, job in jobs:
                self._create(args=[self._prefix, *keys.create_args(job_id, job, job.endpoint or "")], client=pipe)
            replies = pipe.execute()
        return [Created(job_id, JobState(state), digest, new == "1") for job_id, state, digest, new in replies]

    def get(self, job_id: str) -> JobRecord:
        """The job as it stands; raises JobNotFound."""
        with self._reaching():
            fields = cast(dict[str, str], self._redis.hgetall(self._keys.record(job_id)))
        if not fields:
            raise JobNotFound(job_id)
        return JobRecord.read(job_id, fields)

    def get_many(self, job_ids: Iterable[str]) -> list[JobRecord]:
        """The jobs of these ids that are still kept; bears Redis being away."""
        ids = list(job_ids)
        found = zip(ids, self._patiently(partial(self._hashes, ids)), strict=True)
        return [JobRecord.read(job_id, fields) for job_id, fields in found if fields]

    def _hashes(self, job_ids: Sequence[str]) -> list[dict[str, str]]:
        with self._reaching(), self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hgetall(self._keys.record(job_id))
            return cast(list[dict[str, str]], pipe.execute())

    def wait(self, job_id: str, timeout_s: float | None) -> JobResult:
        """The result, once there is one; woken by the job's stream. Raises WaitTimeout, JobNotFound."""
        stop_at = math.inf if timeout_s is None else time.monotonic() + timeout_s
        record = self.get(job_id)
        seen = "0-0"
        while record.result is None:
            left = min(_BLOCK_S, stop_at - time.monotonic())
            if left <= 0:
                raise WaitTimeout(job_id, timeout_s or 0)
            for _, entry_id, _ in self._patiently(
                partial(self._read, {self._keys.events(job_id): seen}, left), stop_at
            ):
                seen = entry_id
            record = self._patiently(partial(self.get, job_id), stop_at)
        return record.result

    def _patiently(self, read: Callable[[], _T], stop_at: float = math.inf) -> _T:
        """Repeats a read while Redis is away, until `stop_at` at the latest."""
        stop_at = min(stop_at, time.monotonic() + self._settings.redis_patience_s)
        pause_s = _PAUSE_FIRST_S
        while True:
            try:
                return read()
            except StoreUnavailable:
                if time.monotonic() + pause_s > stop_at:
                    raise
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, _PAUSE_LONGEST_S)

    def _read(self, after: dict[str, str], block_s: float) -> list[tuple[str, str, dict[str, str]]]:
        """What each of these streams has after an entry: the stream, the entry's id, its fields."""
        block_ms = max(1, int(block_s * 1000))
        with self._reaching():
            replies = cast(Any, self._redis.xread(cast(Any, after), count=_AT_ONCE, block=block_ms))
        if isinstance(replies, dict):  # RESP3
            chunked = [(stream, entry) for stream, chunks in replies.items() for chunk in chunks for entry in chunk]
        else:
            chunked = [(stream, entry) for stream, entries in replies for entry in entries]
        return [(stream, entry_id, fields) for stream, (entry_id, fields) in chunked]

    def events(self, job_id: str, timeout_s: float | None) -> Iterator[Event]:
        """What happened to the job so far, and what happens until it has ended. Raises WaitTimeout, JobNotFound."""
        stop_at = math.inf if timeout_s is None else time.monotonic() + timeout_s
        states, live = self._keys.events(job_id), self._keys.live(job_id)
        record, story = self.get(job_id), Story()
        seen, renew_at = {states: "0-0", live: "0-0"}, 0.0
        while True:
            if record.result is None and time.monotonic() >= renew_at:
                self._patiently(partial(self._follow, job_id), stop_at)
                renew_at = time.monotonic() + _FOLLOWED_S / 3
            left = min(_FOLLOWED_S / 3, stop_at - time.monotonic())
            entries = self._patiently(partial(self._read, seen, 0 if record.result else left), stop_at)
            # By their moments, which are Redis' own; of one moment, the change of state came last.
            for stream, entry_id, fields in sorted(entries, key=lambda entry: _moment(entry[1], entry[0] == states)):
                seen[stream] = entry_id
                yield from story.take(entry_id, fields)
            if record.result is not None and not entries:
                yield from story.end(record.result)
                return
            if not entries or any(stream == states for stream, _, _ in entries):
                record = self._patiently(partial(self.get, job_id), stop_at)
            if record.result is None and left <= 0:
                raise WaitTimeout(job_id, timeout_s or 0)

    def _follow(self, job_id: str) -> None:
        """Lets the job's worker know that somebody follows."""
        with self._reaching():
            self._redis.set(self._keys.followed(job_id), 1, ex=_FOLLOWED_S)

    def cancel(self, job_id: str) -> tuple[JobState, str | None]:
        """Ends a queued job at once; marks a running one for its worker. Gives the state it is in now.

        And the queued job of the same thread whose turn it is now: it needs a message.
        """
        outcome, following = self._end_queued(job_id)
        state = JobState.CANCELLED if outcome == "finished" else self._call(self._request_cancel, job_id)
        if state == "missing":
            raise JobNotFound(job_id)
        return JobState(state), following

    def withdraw(self, job_id: str) -> tuple[bool, str | None]:
        """Ends a queued job and leaves any other alone; whether it did, and the job whose turn it is now."""
        outcome, following = self._end_queued(job_id)
        return outcome == "finished", following

    def _end_queued(self, job_id: str) -> tuple[str, str | None]:
        failure = Failure(kind=FailureKind.CANCELLED, message="cancelled while it was queued", retryable=True)
        result = self.get(job_id).ended(JobState.CANCELLED, failure, datetime.now(UTC))
        args = keys.finish_args("", result, self._settings.failed_ttl_s, [])
        outcome, following = self._call(self._finish, *args)
        return outcome, following or None

    def redrive(self, job_id: str) -> JobState:
        """Opens a failed or cancelled job again; gives the state it is in now."""
        state = self._call(self._redrive, job_id, keys.celery_key(job_id))
        if state == "missing":
            raise JobNotFound(job_id)
        return JobState(state)

    def jobs(self, state: JobState | None, batch: str | None, limit: int) -> list[JobRecord]:
        """The newest jobs, of one state or of one batch."""
        with self._reaching():
            if batch is not None:
                ids = self.batch_jobs(batch)
            else:
                newest: list[tuple[str, float]] = []
                for each in [state] if state else list(JobState):
                    newest += cast(Any, self._redis.zrevrange(self._keys.jobs(each), 0, limit - 1, withscores=True))
                ids = [job_id for job_id, _ in sorted(newest, key=lambda pair: pair[1], reverse=True)]
        records = self.get_many(ids[:limit] if batch is None or state is None else ids)
        return [record for record in records if state in (None, record.state)][:limit]

    def batches(self) -> list[BatchRecord]:
        """The batches whose records are still there, those that changed last first."""
        with self._reaching():
            named = cast(Any, self._redis.zrevrange(self._keys.batches, 0, -1, withscores=True))
            with self._redis.pipeline(transaction=False) as pipe:
                for name, _ in named:
                    pipe.hgetall(self._keys.batch(name))
                counts = dict(zip((name for name, _ in named), pipe.execute(), strict=True))
            if lapsed := [name for name in counts if not counts[name]]:
                self._redis.zrem(self._keys.batches, *lapsed)
        return [
            BatchRecord.read(name, datetime.fromtimestamp(moment, UTC), counts[name])
            for name, moment in named
            if counts[name]
        ]

    def batch(self, name: str) -> BatchRecord:
        """The batch as it stands, in one round trip however large it is; raises BatchNotFound."""
        with self._reaching(), self._redis.pipeline() as pipe:
            pipe.hgetall(self._keys.batch(name))
            pipe.zscore(self._keys.batches, name)
            pipe.exists(self._keys.batch_seen_to(name))
            fields, moment, seen_to = pipe.execute()
        if not fields or moment is None:
            raise BatchNotFound(name)
        return BatchRecord.read(name, datetime.fromtimestamp(moment, UTC), fields, seen_to=bool(seen_to))

    def open_batch(self, name: str, documents: int, *, anew: bool) -> int:
        """Says of how many documents a batch is; gives its generation, with `anew` a new one.

        What has no jobs in the end lapses by itself.
        """
        with self._reaching(), self._redis.pipeline() as pipe:
            pipe.hset(self._keys.batch(name), "documents", documents)
            pipe.hdel(self._keys.batch(name), "cancel_requested")
            pipe.hincrby(self._keys.batch(name), "generation", int(anew))
            pipe.expire(self._keys.batch(name), self._settings.failed_ttl_s)
            pipe.zadd(self._keys.batches, {name: time.time()})
            generation = pipe.execute()[2]
        return int(generation)

    def see_to_batch(self, name: str) -> BatchRecord:
        """The same as `batch`, for who enqueues its documents; bears Redis being away."""
        return self._patiently(partial(self._see_to_batch, name))

    def _see_to_batch(self, name: str) -> BatchRecord:
        with self._reaching():
            self._redis.set(self._keys.batch_seen_to(name), 1, ex=_SEEN_TO_S)
        return self.batch(name)

    def leave_batch(self, name: str) -> None:
        """Nobody enqueues its documents any more."""
        with suppress(StoreUnavailable), self._reaching():  # then it lapses
            self._redis.delete(self._keys.batch_seen_to(name))

    def set_batch(self, name: str, *, paused: bool | None = None, cancel_requested: bool | None = None) -> None:
        """Raises BatchNotFound."""
        self.batch(name)
        with self._reaching():
            for field, is_set in (("paused", paused), ("cancel_requested", cancel_requested)):
                if is_set:
                    self._redis.hset(self._keys.batch(name), field, 1)
                elif is_set is False:
                    self._redis.hdel(self._keys.batch(name), field)

    def states(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """The states of those that are still kept."""
        with self._reaching(), self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hget(self._keys.record(job_id), "state")
            return {id: JobState(state) for id, state in zip(job_ids, pipe.execute(), strict=True) if state}

    def batch_jobs(self, name: str) -> list[str]:
        """The ids of its jobs, the newest first."""
        with self._reaching():
            return cast(list[str], self._redis.zrevrange(self._keys.batch_jobs(name), 0, -1))

    def batch_cursor(self, batch: str) -> str:
        """Where a batch's stream ends now."""
        with self._reaching():
            last = cast(Any, self._redis.xrevrange(self._keys.batch_done(batch), count=1))
        return str(last[0][0]) if last else "0-0"

    def finished(self, batch: str, after: str, block_s: float) -> list[Finished]:
        """The batch's jobs that ended since the cursor `after`; waits up to `block_s` for one."""
        entries = self._patiently(partial(self._read, {self._keys.batch_done(batch): after}, block_s))
        return [Finished(cursor, fields["job"], JobState(fields["state"])) for _, cursor, fields in entries]

    def threads(self) -> list[KeptThread]:
        """The kept threads, those used last first."""
        with self._reaching():
            entries = cast(list[str], self._redis.hvals(self._keys.threads))
        kept = [KeptThread.model_validate_json(entry) for entry in entries]
        return sorted(kept, key=lambda thread: thread.used_at, reverse=True)

    def forget_thread(self, endpoint: str, thread_id: str, *, force: bool = False) -> None:
        """Hands a kept thread and its things to the workers' sweep, to be deleted; then it is listed no more.

        Raises ThreadNotFound, and ThreadInUse while jobs wait or run on it, unless `force`.
        """
        name = keys.thread_name(endpoint, thread_id)
        while True:  # until no job changes the entry in between
            with self._reaching():
                entry = cast(str | None, self._redis.hget(self._keys.threads, name))
            if entry is None:
                raise ThreadNotFound(thread_id)
            left = [each.model_dump_json() for each in KeptThread.model_validate_json(entry).leftovers]
            outcome, *job_ids = self._call(self._forget_thread, name, entry, int(force), *left)
            if outcome == "busy":
                raise ThreadInUse(thread_id, job_ids)
            if outcome == "forgotten":
                return

    def assistants(self) -> dict[tuple[str, str], Applied]:
        """What profiles were applied to, by endpoint and profile."""
        with self._reaching():
            entries = cast(dict[str, str], self._redis.hgetall(self._keys.assistants))
        named = {name.rpartition("/"): entry for name, entry in sorted(entries.items())}
        return {(endpoint, profile): Applied.model_validate_json(at) for (endpoint, _, profile), at in named.items()}

    def assistant_of(self, endpoint: str, profile: str) -> str | None:
        """The id of the assistant that the profile was applied to there, if it was."""
        with self._reaching():
            entry = cast(str | None, self._redis.hget(self._keys.assistants, keys.applied_name(endpoint, profile)))
        return Applied.model_validate_json(entry).id if entry else None

    def set_assistant(self, endpoint: str, profile: str, applied: Applied) -> None:
        with self._reaching():
            name = keys.applied_name(endpoint, profile)
            self._redis.hset(self._keys.assistants, name, applied.model_dump_json())

    def drop_assistant(self, endpoint: str, profile: str) -> None:
        with self._reaching():
            self._redis.hdel(self._keys.assistants, keys.applied_name(endpoint, profile))

    def leftovers(self) -> list[Leftover]:
        """Remote things still to be deleted, those due first; the ones given up last."""
        with self._reaching():
            due = cast(Any, self._redis.zrange(self._keys.leftovers, 0, -1, withscores=True))
            tries = cast(dict[str, str], self._redis.hgetall(self._keys.leftover_tries))
        return [
            Leftover(
                **json.loads(member),
                tries=int(tries.get(member, 0)),
                due_at=None if math.isinf(moment) else datetime.fromtimestamp(moment, UTC),
            )
            for member, moment in due
        ]

    def retry_leftovers(self) -> int:
        """Makes all of them due now, as if never tried; gives their number."""
        with self._reaching():
            members = cast(list[str], self._redis.zrange(self._keys.leftovers, 0, -1))
            if members:
                self._redis.zadd(self._keys.leftovers, dict.fromkeys(members, time.time()), xx=True)
                self._redis.delete(self._keys.leftover_tries)
        return len(members)

    def workers(self) -> list[Worker]:
        """The workers that were alive within the last day."""
        with self._reaching():
            announced = cast(dict[str, str], self._redis.hgetall(self._keys.workers))
        return [Worker.model_validate_json(worker) for worker in announced.values()]


def _moment(entry_id: str, is_state: bool) -> tuple[int, bool, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), is_state, int(number)
