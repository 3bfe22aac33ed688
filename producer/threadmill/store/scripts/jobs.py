"""The Lua scripts that change jobs in Redis. Nothing else changes a job's state.

Each script is atomic: after a crash a job is in exactly one state and counted once. Each can be repeated: a caller
that lost the reply calls it again. Times are Redis' own. The first argument is the key prefix; scripts build key names
as store/keys.py does, so they need a single Redis, not a cluster, as Celery's Redis broker does too. The comment
above a script lists the arguments after the prefix, and what it returns.
"""

from threadmill.store.records import FORMAT

PRELUDE = (
    f"""
local FORMAT = {FORMAT}
"""
    + """
local prefix = ARGV[1]
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local stamp = string.format('%.6f', now)
local function key(...) return prefix .. ':' .. table.concat({...}, ':') end
local function is_terminal(state) return state == 'succeeded' or state == 'failed' or state == 'cancelled' end
local function owned(id, owner) return owner ~= '' and redis.call('HGET', key('job', id), 'owner') == owner end

-- Changes a job's state; nothing else does.
local function move(id, from, to)
  redis.call('HSET', key('job', id), 'state', to)
  if from then redis.call('ZREM', key('jobs', from), id) end
  redis.call('ZADD', key('jobs', to), stamp, id)
  redis.call('XADD', key('job', id, 'events'), 'MAXLEN', '~', 1000, '*', 'state', to)
  local batch = redis.call('HGET', key('job', id), 'batch')
  if batch then
    redis.call('ZADD', key('batches'), stamp, batch)
    -- pcall: a damaged number must not prevent the change.
    if from then redis.pcall('HINCRBY', key('batch', batch), from, -1) end
    redis.pcall('HINCRBY', key('batch', batch), to, 1)
  end
end

-- Returns a job's state; '' if the field is missing, nil if there is no record.
local function state_of(id)
  return redis.call('HGET', key('job', id), 'state') or (redis.call('EXISTS', key('job', id)) == 1 and '' or nil)
end

-- Returns the table in a JSON text; nil if there is none or it is unreadable.
local function decode(text)
  local is_read, value = pcall(cjson.decode, text)
  return is_read and type(value) == 'table' and value or nil
end

-- Whether the record has a newer format; then workers of this version leave it alone.
local function is_newer(id)
  return (tonumber(redis.call('HGET', key('job', id), 'format')) or 1) > FORMAT
end

-- Sets the format, but never lowers it.
local function stamp_format(id)
  if not is_newer(id) then redis.call('HSET', key('job', id), 'format', FORMAT) end
end

local function has_open_jobs(batch)
  local queued, running = unpack(redis.call('HMGET', key('batch', batch), 'queued', 'running'))
  return (tonumber(queued or 0) or 0) + (tonumber(running or 0) or 0) > 0
end

local function drop_lease(id)
  redis.call('ZREM', key('leases'), id)
  redis.call('HDEL', key('job', id), 'owner')
end

-- Counts that a worker died or lost the lease before it saved progress; SAVE resets the count. After two in a row
-- the job may be the cause: from then on it runs in a process of its own. With a damaged number nothing is counted,
-- and the worker that reads the record fails the job.
local function count_lapse(id)
  local lapses = redis.pcall('HINCRBY', key('job', id), 'lapses', 1)
  if type(lapses) ~= 'number' then return 0 end
  if lapses >= 2 then redis.call('HSET', key('job', id), 'alone', 1) end
  return lapses
end

-- Removes the expiry of a job that is open again, and of its batch.
local function keep(id)
  local idempotency, batch = unpack(redis.call('HMGET', key('job', id), 'key', 'batch'))
  redis.call('PERSIST', key('job', id))
  redis.call('PERSIST', key('job', id, 'events'))
  if idempotency then redis.call('PERSIST', key('key', idempotency)) end
  if batch then
    redis.call('PERSIST', key('batches'))
    for _, part in ipairs({'', ':jobs', ':done'}) do redis.call('PERSIST', key('batch', batch) .. part) end
  end
end

-- Adds a job to the turns of its thread, after all others.
local function join(id, turn)
  local last = redis.call('ZRANGE', key('turns', turn), -1, -1, 'WITHSCORES')
  redis.call('ZADD', key('turns', turn), tonumber(last[2] or 0) + 1, id)
end

-- Returns the job whose turn it is, and its state. Removes jobs that have ended or are no longer kept.
local function first(turn)
  while true do
    local id = redis.call('ZRANGE', key('turns', turn), 0, 0)[1]
    if not id then return nil end
    local state = redis.call('HGET', key('job', id), 'state')
    if state and not is_terminal(state) then return id, state end
    redis.call('ZREM', key('turns', turn), id)
  end
end

-- Whether a job waits for its turn on a thread, in the batch lane (lanes.py), or in a paused batch.
local function waits(id)
  local turn, parked, batch = unpack(redis.call('HMGET', key('job', id), 'turn', 'parked', 'batch'))
  local head = turn and first(turn)
  return parked or (head and head ~= id) or (batch and redis.call('HEXISTS', key('batch', batch), 'paused') == 1)
end
"""
)

#: id, job JSON, digest, idempotency key or '', batch or '', turn or '' -> [id, state, digest, '1' if created]
CREATE = (
    PRELUDE
    + """
local id, job, digest, idempotency, batch, turn = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local existing = id
if idempotency ~= '' then existing = redis.call('GET', key('key', idempotency)) or id end
local state, old_digest = unpack(redis.call('HMGET', key('job', existing), 'state', 'digest'))
if state then return {existing, state, old_digest, '0'} end
redis.call('HSET', key('job', id), 'job', job, 'digest', digest, 'attempts', 0, 'created_at', stamp)
stamp_format(id)
if idempotency ~= '' then
  redis.call('SET', key('key', idempotency), id)
  redis.call('HSET', key('job', id), 'key', idempotency)
end
if batch ~= '' then
  redis.call('HSET', key('job', id), 'batch', batch)
  redis.call('ZADD', key('batch', batch, 'jobs'), stamp, id)
end
if turn ~= '' then
  redis.call('HSET', key('job', id), 'turn', turn)
  join(id, turn)
end
move(id, nil, 'queued')
keep(id)
return {id, 'queued', digest, '1'}
"""
)

#: id, owner, lease in seconds -> ['claimed', the record's fields and values] or [reason]. A job that waits stays
#: queued; the end of its wait sends a new queue message. A job of a newer format stays unchanged.
CLAIM = (
    PRELUDE
    + """
local id, owner, lease_s = ARGV[2], ARGV[3], tonumber(ARGV[4])
local state = state_of(id)
if not state then return {'missing'} end
if is_terminal(state) then return {state} end
if not owned(id, owner) then  -- else this repeats a claim whose reply was lost
  if state == 'running' and tonumber(redis.call('ZSCORE', key('leases'), id) or 0) > now then return {'leased'} end
  if state == 'queued' and waits(id) then return {'waits'} end
  if is_newer(id) then return {'newer', redis.call('HGET', key('job', id), 'format')} end
  redis.call('HSET', key('job', id), 'owner', owner)
  if state == 'running' then count_lapse(id) end
  redis.pcall('HINCRBY', key('job', id), 'attempts', 1)
  redis.call('HSETNX', key('job', id), 'started_at', stamp)
  redis.call('ZADD', key('leases'), now + lease_s, id)
  if state == 'queued' then move(id, 'queued', 'running') end
end
local claimed = redis.call('HGETALL', key('job', id))
table.insert(claimed, 1, 'claimed')
return claimed
"""
)

#: lease in seconds, then for each job: id, owner, HTTP calls so far or '' -> [id, 'lost' | 'cancel' | 'followed', ...].
#: Jobs without news are left out; 'cancel' goes before 'followed'. An expired lease is renewed if nobody has claimed
#: the job since.
RENEW = (
    PRELUDE
    + """
local lease_s = tonumber(ARGV[2])
local news = {}
for i = 3, #ARGV, 3 do
  local id, owner, calls = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local holder, state, cancel = unpack(redis.call('HMGET', key('job', id), 'owner', 'state', 'cancel_requested'))
  if holder ~= owner then
    table.insert(news, id)
    table.insert(news, 'lost')
  else
    redis.call('ZADD', key('leases'), now + lease_s, id)
    if calls ~= '' then redis.call('HSET', key('job', id), 'calls', calls) end
    if state == 'queued' then move(id, 'queued', 'running') end
    if cancel then
      table.insert(news, id)
      table.insert(news, 'cancel')
    elseif redis.call('EXISTS', key('job', id, 'followed')) == 1 then
      table.insert(news, id)
      table.insert(news, 'followed')
    end
  end
end
return news
"""
)

#: id, owner, progress JSON -> 1, or 0 if another worker has claimed the job
SAVE = (
    PRELUDE
    + """
if not owned(ARGV[2], ARGV[3]) then return 0 end
redis.call('HSET', key('job', ARGV[2]), 'progress', ARGV[4])
stamp_format(ARGV[2])
redis.call('HDEL', key('job', ARGV[2]), 'lapses')
return 1
"""
)

#: id, owner -> how often in a row the job's process has died, including now; 0 if another worker has claimed the job
LAPSE = (
    PRELUDE
    + """
if not owned(ARGV[2], ARGV[3]) then return 0 end
return count_lapse(ARGV[2])
"""
)

#: id, owner, HTTP calls so far or '' -> 1, or 0 if another worker has claimed the job. Handing back does not count as
#: an attempt, and without progress the job's time has not started.
HAND_BACK = (
    PRELUDE
    + """
if not owned(ARGV[2], ARGV[3]) then return 0 end
redis.call('HINCRBY', key('job', ARGV[2]), 'attempts', -1)
if redis.call('HEXISTS', key('job', ARGV[2]), 'progress') == 0 then
  redis.call('HDEL', key('job', ARGV[2]), 'started_at')
end
if ARGV[4] ~= '' then redis.call('HSET', key('job', ARGV[2]), 'calls', ARGV[4]) end
drop_lease(ARGV[2])
if redis.call('HGET', key('job', ARGV[2]), 'state') == 'running' then move(ARGV[2], 'running', 'queued') end
return 1
"""
)

#: id, owner ('' ends a queued job), end state, result JSON, ttl in seconds, the longest ttl of any job, Celery's key,
#: Celery's value, kept thread as JSON or '', counts for its batch as JSON, the job to keep in the record or '' for the
#: whole job, the kept thread's transcript or '', leftovers as JSON...
#: -> ['finished', 'missing', 'lost' or the state that forbids it, the queued job whose turn it is now or '']. A
#: repetition returns that job too.
FINISH = (
    PRELUDE
    + """
local id, owner, to, result, kept = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[10]
local ttl, longest = tonumber(ARGV[6]), ARGV[7]
local record = key('job', id)
local from, idempotency, batch, turn = unpack(redis.call('HMGET', record, 'state', 'key', 'batch', 'turn'))

local function reply(outcome)
  local following, state
  if turn then following, state = first(turn) end
  return {outcome, state == 'queued' and following or ''}
end

local function join_thread(thread, news)
  thread.jobs = thread.jobs + 1
  thread.job_id = id
  thread.used_at = stamp
  for thing, kind in pairs(news and news.things or {}) do thread.things[thing] = kind end
  for _, name in ipairs({'assistant', 'kind', 'latest'}) do thread[name] = news and news[name] or thread[name] end
  return thread
end

-- Updates the entry of a thread that this or an earlier job keeps. Returns whether the objects that this job made stay
-- with the thread; they do not stay with a foreign thread, which is not listed (jobs: 0).
local function keep_thread()
  local news = kept ~= '' and cjson.decode(kept)
  local field = news and (news.endpoint .. '/' .. news.id) or turn
  local known = field and redis.call('HGET', key('threads'), field)
  if not news and not (known and from == 'running') then return false end
  if not known and news.jobs == 0 then return false end
  local thread = news
  if known then
    local is_read, joined = pcall(join_thread, decode(known), news)
    if not is_read then return news ~= false end  -- damaged: leave it unchanged
    thread = joined
  end
  redis.call('HSET', key('threads'), field, cjson.encode(thread))
  if news and ARGV[13] ~= '' then
    redis.call('SET', key('transcript', field), ARGV[13])
  elseif news then
    redis.call('DEL', key('transcript', field))
  end
  return news ~= false
end

-- Counts what the job spent and why it failed. pcall: a number that Redis cannot hold must not prevent the end.
local function count()
  for field, number in pairs(cjson.decode(ARGV[11])) do
    redis.pcall('HINCRBY', key('batch', batch), field, number)
    if string.sub(field, 1, 7) == 'failed:' then redis.call('HSET', record, 'counted', field) end
  end
end

-- After the last job: hands shared objects to the leftovers; keeps the batch as long as any of its jobs.
local function close_batch()
  for _, part in ipairs({'', ':jobs', ':done'}) do redis.call('EXPIRE', key('batch', batch) .. part, longest) end
  for _, thing in ipairs(redis.call('HVALS', key('batch', batch, 'shared'))) do
    local made = decode(thing)
    if not made or made.id then redis.call('ZADD', key('leftovers'), stamp, thing) end
  end
  redis.call('DEL', key('batch', batch, 'shared'))
end

from = from or state_of(id)
if not from then return {'missing', ''} end
if is_terminal(from) then return reply(from) end
if owner == '' and from == 'running' then return reply(from) end
if owner ~= '' and not owned(id, owner) then return {'lost', ''} end
redis.call('HSET', record, 'result', result, 'finished_at', stamp)
stamp_format(id)
redis.call('HDEL', record, 'progress', 'calls', 'cancel_requested', 'parked', 'lane_since', 'lapses', 'alone')
redis.call('ZREM', key('lane_deadlines'), id)
if ARGV[12] ~= '' then redis.call('HSET', record, 'job', ARGV[12]) end
drop_lease(id)
move(id, from, to)
redis.call('EXPIRE', record, ttl)
for _, part in ipairs({'events', 'live'}) do redis.call('EXPIRE', key('job', id, part), ttl) end
if idempotency then redis.call('EXPIRE', key('key', idempotency), ttl) end
redis.call('ZREMRANGEBYSCORE', key('jobs', to), '-inf', now - ttl)
redis.call('EXPIRE', key('jobs', to), ttl)
if not keep_thread() then
  -- A run comes first: it is cancelled before its objects are deleted.
  local due = now
  for i = 14, #ARGV do
    redis.call('ZADD', key('leftovers'), string.format('%.6f', due), ARGV[i])
    if cjson.decode(ARGV[i]).kind == 'run' then due = now + 5 end
  end
end
if turn then redis.call('ZREM', key('turns', turn), id) end
if batch then
  count()
  redis.call('XADD', key('batch', batch, 'done'), '*', 'job', id, 'state', to)
  if not has_open_jobs(batch) then close_batch() end
end
if redis.call('EXISTS', key('jobs', 'queued'), key('jobs', 'running')) == 0 then
  redis.call('EXPIRE', key('batches'), longest)  -- otherwise a batch may be open
end
redis.call('SET', ARGV[8], ARGV[9], 'EX', ttl)
redis.call('PUBLISH', ARGV[8], ARGV[9])
return reply('finished')
"""
)

#: id -> the job's state; requests the cancellation of a running job
REQUEST_CANCEL = (
    PRELUDE
    + """
local state = redis.call('HGET', key('job', ARGV[2]), 'state')
if state == 'running' then redis.call('HSET', key('job', ARGV[2]), 'cancel_requested', stamp) end
return state or 'missing'
"""
)

#: id, Celery's key -> 'queued', or the state that forbids it. Moves the result to the history.
REDRIVE = (
    PRELUDE
    + """
local id = ARGV[2]
local state, result, history, turn, batch, counted = unpack(
  redis.call('HMGET', key('job', id), 'state', 'result', 'history', 'turn', 'batch', 'counted')
)
if state ~= 'failed' and state ~= 'cancelled' then return state or 'missing' end
redis.call('HSET', key('job', id), 'history', (history and (history .. '\\n') or '') .. result)
redis.call('HDEL', key('job', id), 'result', 'finished_at', 'started_at', 'counted')
if counted then redis.call('HINCRBY', key('batch', batch), counted, -1) end
redis.call('HSET', key('job', id), 'attempts', 0)
redis.call('DEL', ARGV[3], key('job', id, 'live'))
if turn then join(id, turn) end
move(id, state, 'queued')
keep(id)
return 'queued'
"""
)

#: worker, limit -> [id, lapses in a row, ...]: the jobs with an expired lease, which it queued again. Does nothing if
#: the worker no longer holds the lease of the sweep, as after a pause of Redis. The owner of a job may continue until
#: another worker claims the job.
RESCUE = (
    PRELUDE
    + """
local rescued = {}
if redis.call('GET', key('sweep')) ~= ARGV[2] then return rescued end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('leases'), '-inf', stamp, 'LIMIT', 0, ARGV[3])) do
  redis.call('ZREM', key('leases'), id)
  if redis.call('HGET', key('job', id), 'state') == 'running' then
    move(id, 'running', 'queued')
    table.insert(rescued, id)
    table.insert(rescued, count_lapse(id))
  end
end
return rescued
"""
)

#: seconds -> ids of jobs queued for longer, except those that wait for something other than a worker
LONG_QUEUED = (
    PRELUDE
    + """
local found = {}
local before = string.format('%.6f', now - tonumber(ARGV[2]))
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('jobs', 'queued'), '-inf', before)) do
  local is_read, must_wait = pcall(waits, id)
  if is_read and not must_wait then table.insert(found, id) end
end
return found
"""
)
