"""Fills Redis with jobs that have ended, as quickly as Redis can write them.

A script of Redis writes records and index entries from templates; the scripts of threadmill would take half an hour for
a million jobs. What it writes is what `jobs/create`, `jobs/claim` and `jobs/finish` leave.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import redis

from threadmill import Failure, FailureKind, JobResult, JobState, PromptJob
from threadmill.job.result import Timings, Usage
from threadmill.store.keys import Keys

HUGE = "huge"  #: the batch with a tenth of the jobs
_AT_ONCE = 2_000
_SPAN_S = 24 * 3600
#: Arguments: the prefix, the first and the last number, jobs and batches in all, the time of the last job, the seconds
#: before it in which all were created, and the templates of the job and of a result in each state.
_WRITE = """
local prefix = ARGV[1]
local first, last, jobs, batches, now, span = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]),
  tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local job, results = ARGV[8], {succeeded = ARGV[9], failed = ARGV[10], cancelled = ARGV[11]}
local kinds = {'server_error', 'overdue', 'quota'}
for number = first, last do
  local id = string.format('job-%d', number)
  local batch = number % 10 == 7 and 'huge' or ('batch-' .. number % (batches - 1))
  local state = number % 20 == 7 and 'failed' or (number % 100 == 3 and 'cancelled' or 'succeeded')
  local kind = kinds[number % 7 < 4 and 1 or (number % 7 < 6 and 2 or 3)]
  local at = now - span + span * number / jobs
  local function filled(text)
    return (string.gsub(string.gsub(string.gsub(text, '@ID@', id), '@BATCH@', batch), '@KIND@', kind))
  end
  local record, created = prefix .. ':job:' .. id, string.format('%.6f', at)
  redis.call('HSET', record, 'job', filled(job), 'digest', string.rep('0', 64), 'sender', 'client', 'state', state,
    'flow', 'normal|' .. batch .. '|' .. batch .. '|emulator', 'attempts', 1, 'created_at', created, 'format', 1,
    'started_at', created, 'finished_at', string.format('%.6f', at + 5), 'batch', batch, 'pool', 'emulator',
    'result', filled(results[state]))
  redis.call('ZADD', prefix .. ':jobs:' .. state, at + 5, id)
  redis.call('ZADD', prefix .. ':batch:' .. batch .. ':jobs', at, id)
  redis.call('XADD', prefix .. ':batch:' .. batch .. ':done', '*', 'job', id, 'state', state)
  redis.call('HINCRBY', prefix .. ':batch:' .. batch, state, 1)
  redis.call('HINCRBY', prefix .. ':batch:' .. batch .. ':stats', 'duration:5', 1)
  redis.call('HINCRBY', prefix .. ':batch:' .. batch .. ':stats', 'tokens:500', 1)
  local start = math.floor((at + 5) / 600) * 600
  redis.call('HINCRBY', prefix .. ':batch:' .. batch .. ':stats', string.format('ended:%d:600:%s', start, state), 1)
  redis.call('ZADD', prefix .. ':batches', at + 5, batch)
  local hour = prefix .. ':stats:' .. math.floor((at + 5) / 3600)
  redis.call('HINCRBY', hour, 'ended:' .. state .. ':' .. (state == 'failed' and kind or '') .. ':emulator', 1)
  redis.call('HINCRBY', hour, 'usage:total_tokens::emulator-1', 320)
  if state == 'failed' then
    redis.call('HSET', record, 'failed_as', kind)
    redis.call('ZADD', prefix .. ':failed_jobs:' .. kind, at + 5, id)
    redis.call('ZADD', prefix .. ':batch:' .. batch .. ':failed', at + 5, id)
    redis.call('HINCRBY', prefix .. ':batch:' .. batch, 'failed:' .. kind, 1)
  end
end
"""


@dataclass(frozen=True)
class Filled:
    """Names in a Redis that was filled."""

    batch: str  #: an ordinary batch
    job: str  #: a job of it


def fill(connection: redis.Redis, keys: Keys, jobs: int, batches: int, progress: Callable[[int], None]) -> Filled:
    """Writes the jobs of a day. `progress` is told how many there are."""
    write, now = connection.register_script(_WRITE), time.time()
    templates = [_job(), *(_result(state) for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED))]
    for first in range(0, jobs, _AT_ONCE):
        last = min(first + _AT_ONCE, jobs) - 1
        write(args=[keys.prefix, first, last, jobs, batches, now, _SPAN_S, *templates])
        progress(last + 1)
    return Filled(f"batch-{1 % (batches - 1)}", "job-1")


def _job() -> str:
    prompt = "Summarise this report in three sentences, and name what has to be decided: " + "it was a long day. " * 10
    job = PromptJob(prompt=prompt, batch="@BATCH@", document="@ID@.md", endpoint="emulator", metadata={"order": "@ID@"})
    return job.model_dump_json(exclude_defaults=True)


def _result(state: JobState) -> str:
    at = datetime.now(UTC)
    failure = None
    if state is not JobState.SUCCEEDED:
        kind = FailureKind("@KIND@") if state is JobState.FAILED else FailureKind.CANCELLED
        failure = Failure(kind=kind, message="what the server said")
    result = JobResult(
        job_id="@ID@",
        state=state,
        text="" if failure else "**The decision**: " + "the report says what has to be done. " * 12,
        timings=Timings(created_at=at, started_at=at, finished_at=at + timedelta(seconds=5)),
        usage=Usage(prompt_tokens=200, completion_tokens=120, total_tokens=320),
        model="emulator-1",
        runs=1,
        attempts=1,
        calls=8,
        failure=failure,
        batch="@BATCH@",
        endpoint="emulator",
    )
    return result.model_dump_json(exclude_defaults=True)
