"""Every Redis key and every script that changes a job, in one place for both sides.

A job's state changes nowhere but in these scripts: each is one atomic step, so a crash at any point leaves
a job in exactly one state, counted once. They take no cluster-wide key lists: threadmill needs one Redis
(or a replicated one), as Celery's Redis broker does.

    PREFIX:job:ID          hash    the record: job, state, attempts, owner, progress, result, moments
    PREFIX:job:ID:events   stream  its changes of state; waiters block on it
    PREFIX:jobs:STATE      zset    job ids by the moment they came into that state
    PREFIX:key:KEY         string  idempotency key -> job id
    PREFIX:leases          zset    running jobs by the moment their lease lapses
    PREFIX:leftovers       zset    remote things still to delete, by the moment to try next
    PREFIX:batch:NAME      hash    a batch's counters, by state
    PREFIX:batch:NAME:jobs zset    its job ids;  PREFIX:batch:NAME:done  stream, its finished jobs
    PREFIX:batches         zset    batch names by the moment they were last added to
    PREFIX:workers         hash    what each live worker can do, as JSON
"""

import json
from dataclasses import dataclass

from threadmill.job import JobResult, JobState


@dataclass(frozen=True)
class Keys:
    """The names of the keys under one prefix."""

    prefix: str

    def record(self, job_id: str) -> str:
        return f"{self.prefix}:job:{job_id}"

    def events(self, job_id: str) -> str:
        return f"{self.prefix}:job:{job_id}:events"

    def jobs(self, state: JobState) -> str:
        return f"{self.prefix}:jobs:{state}"

    def batch(self, name: str) -> str:
        return f"{self.prefix}:batch:{name}"

    def batch_jobs(self, name: str) -> str:
        return f"{self.prefix}:batch:{name}:jobs"

    def batch_done(self, name: str) -> str:
        return f"{self.prefix}:batch:{name}:done"

    @property
    def workers(self) -> str:
        return f"{self.prefix}:workers"


def celery_key(job_id: str) -> str:
    """Where Celery's Redis backend keeps and announces a task's result."""
    return f"celery-task-meta-{job_id}"


def finish_args(prefix: str, owner: str, result: JobResult, ttl_s: int, leftovers: list[str]) -> list[str | int]:
    """The arguments of FINISH: record, counters and what `AsyncResult(job_id)` reads change in one step."""
    body = result.model_dump(mode="json")
    celery_meta = {
        "status": "SUCCESS",  # the task did its work; whether the job succeeded stands in the result
        "result": body,
        "traceback": None,
        "children": [],
        "date_done": body["timings"]["finished_at"],
        "task_id": result.job_id,
    }
    return [
        prefix,
        result.job_id,
        owner,
        result.state,
        json.dumps(body, ensure_ascii=False),
        ttl_s,
        celery_key(result.job_id),
        json.dumps(celery_meta, ensure_ascii=False),
        *leftovers,
    ]


_PRELUDE = """
local prefix = ARGV[1]
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local stamp = string.format('%.6f', now)
local function key(...) return prefix .. ':' .. table.concat({...}, ':') end
local function is_terminal(state) return state == 'succeeded' or state == 'failed' or state == 'cancelled' end
local function owned(id, owner) return owner ~= '' and redis.call('HGET', key('job', id), 'owner') == owner end

-- The one place where a job changes its state.
local function move(id, from, to)
  redis.call('HSET', key('job', id), 'state', to)
  if from then redis.call('ZREM', key('jobs', from), id) end
  redis.call('ZADD', key('jobs', to), stamp, id)
  redis.call('XADD', key('job', id, 'events'), 'MAXLEN', '~', 1000, '*', 'state', to)
  local batch = redis.call('HGET', key('job', id), 'batch')
  if batch then
    if from then redis.call('HINCRBY', key('batch', batch), from, -1) end
    redis.call('HINCRBY', key('batch', batch), to, 1)
  end
end

local function drop_lease(id)
  redis.call('ZREM', key('leases'), id)
  redis.call('HDEL', key('job', id), 'owner')
end

-- A job that is open again must not lapse with the time set when it ended; its batch neither.
local function keep(id)
  local idempotency, batch = unpack(redis.call('HMGET', key('job', id), 'key', 'batch'))
  redis.call('PERSIST', key('job', id))
  redis.call('PERSIST', key('job', id, 'events'))
  if idempotency then redis.call('PERSIST', key('key', idempotency)) end
  if batch then
    for _, part in ipairs({'', ':jobs', ':done'}) do redis.call('PERSIST', key('batch', batch) .. part) end
  end
end
"""

#: id, job JSON, digest, idempotency key or '', batch or '' -> [id, state, digest, '1' if created]
CREATE = (
    _PRELUDE
    + """
local id, job, digest, idempotency, batch = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local existing = id
if idempotency ~= '' then existing = redis.call('GET', key('key', idempotency)) or id end
local state, old_digest = unpack(redis.call('HMGET', key('job', existing), 'state', 'digest'))
if state then return {existing, state, old_digest, '0'} end
redis.call('HSET', key('job', id), 'job', job, 'digest', digest, 'attempts', 0, 'created_at', stamp)
if idempotency ~= '' then
  redis.call('SET', key('key', idempotency), id)
  redis.call('HSET', key('job', id), 'key', idempotency)
end
if batch ~= '' then
  redis.call('HSET', key('job', id), 'batch', batch)
  redis.call('ZADD', key('batch', batch, 'jobs'), stamp, id)
  redis.call('ZADD', key('batches'), stamp, batch)
end
move(id, nil, 'queued')
keep(id)
return {id, 'queued', digest, '1'}
"""
)

#: id, owner, lease in seconds -> ['claimed', the record's fields and values] or [why not]
CLAIM = (
    _PRELUDE
    + """
local id, owner, lease_s = ARGV[2], ARGV[3], tonumber(ARGV[4])
local state = redis.call('HGET', key('job', id), 'state')
if not state then return {'missing'} end
if is_terminal(state) then return {state} end
if state == 'running' and tonumber(redis.call('ZSCORE', key('leases'), id) or 0) > now then return {'leased'} end
redis.call('HSET', key('job', id), 'owner', owner)
redis.call('HINCRBY', key('job', id), 'attempts', 1)
redis.call('HSETNX', key('job', id), 'started_at', stamp)
redis.call('ZADD', key('leases'), now + lease_s, id)
if state == 'queued' then move(id, 'queued', 'running') end
local claimed = redis.call('HGETALL', key('job', id))
table.insert(claimed, 1, 'claimed')
return claimed
"""
)

#: owner, lease in seconds, ids... -> [id, 'lost' | 'cancel', ...]; a held job that is left alone is not named
RENEW = (
    _PRELUDE
    + """
local owner, lease_s = ARGV[2], tonumber(ARGV[3])
local news = {}
for i = 4, #ARGV do
  local id = ARGV[i]
  local holder, cancel = unpack(redis.call('HMGET', key('job', id), 'owner', 'cancel_requested'))
  if holder ~= owner then
    table.insert(news, id)
    table.insert(news, 'lost')
  else
    redis.call('ZADD', key('leases'), 'XX', now + lease_s, id)
    if cancel then
      table.insert(news, id)
      table.insert(news, 'cancel')
    end
  end
end
return news
"""
)

#: id, owner, progress JSON -> 1, or 0 if the lease went to another worker
SAVE = (
    _PRELUDE
    + """
if not owned(ARGV[2], ARGV[3]) then return 0 end
redis.call('HSET', key('job', ARGV[2]), 'progress', ARGV[4])
return 1
"""
)

#: id, owner -> 1, or 0 if the lease went to another worker; a job handed back spends no attempt
HAND_BACK = (
    _PRELUDE
    + """
if not owned(ARGV[2], ARGV[3]) then return 0 end
redis.call('HINCRBY', key('job', ARGV[2]), 'attempts', -1)
drop_lease(ARGV[2])
move(ARGV[2], 'running', 'queued')
return 1
"""
)

#: id, owner ('' takes a queued job), end state, result JSON, ttl in seconds, Celery's key, Celery's value,
#: leftovers as JSON... -> 'finished', 'missing', 'lost', or the state that forbids it
FINISH = (
    _PRELUDE
    + """
local id, owner, to, result, ttl = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local record = key('job', id)
local from, idempotency, batch = unpack(redis.call('HMGET', record, 'state', 'key', 'batch'))
if not from then return 'missing' end
if is_terminal(from) then return from end
if owner == '' and from ~= 'queued' then return from end
if owner ~= '' and not owned(id, owner) then return 'lost' end
redis.call('HSET', record, 'result', result, 'finished_at', stamp)
redis.call('HDEL', record, 'progress', 'cancel_requested')
drop_lease(id)
move(id, from, to)
redis.call('EXPIRE', record, ttl)
redis.call('EXPIRE', key('job', id, 'events'), ttl)
if idempotency then redis.call('EXPIRE', key('key', idempotency), ttl) end
redis.call('ZREMRANGEBYSCORE', key('jobs', to), '-inf', now - ttl)
redis.call('EXPIRE', key('jobs', to), ttl)
if batch then
  redis.call('XADD', key('batch', batch, 'done'), '*', 'job', id, 'state', to)
  local open = redis.call('HMGET', key('batch', batch), 'queued', 'running')
  if tonumber(open[1] or 0) + tonumber(open[2] or 0) == 0 then
    for _, part in ipairs({'', ':jobs', ':done'}) do redis.call('EXPIRE', key('batch', batch) .. part, ttl) end
    redis.call('ZREMRANGEBYSCORE', key('batches'), '-inf', now - ttl)
    redis.call('EXPIRE', key('batches'), ttl)
  end
end
for i = 9, #ARGV do redis.call('ZADD', key('leftovers'), stamp, ARGV[i]) end
redis.call('SET', ARGV[7], ARGV[8], 'EX', math.min(tonumber(ttl), 86400))
redis.call('PUBLISH', ARGV[7], ARGV[8])
return 'finished'
"""
)

#: id -> the state the job is in; a running one is marked for its worker to see
REQUEST_CANCEL = (
    _PRELUDE
    + """
local state = redis.call('HGET', key('job', ARGV[2]), 'state')
if state == 'running' then redis.call('HSET', key('job', ARGV[2]), 'cancel_requested', stamp) end
return state or 'missing'
"""
)

#: id, Celery's key -> 'queued' when sent again, else the state that forbids it
REDRIVE = (
    _PRELUDE
    + """
local id = ARGV[2]
local state = redis.call('HGET', key('job', id), 'state')
if state ~= 'failed' and state ~= 'cancelled' then return state or 'missing' end
redis.call('HDEL', key('job', id), 'result', 'finished_at', 'started_at')
redis.call('HSET', key('job', id), 'attempts', 0)
redis.call('DEL', ARGV[3])
move(id, state, 'queued')
keep(id)
return 'queued'
"""
)
