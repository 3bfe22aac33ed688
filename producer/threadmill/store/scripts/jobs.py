"""Every step that changes a job in Redis. A job's state changes nowhere else.

Each script is one atomic step, so a crash at any point leaves a job in exactly one state, counted once, and
bears repetition, so a lost reply is met by calling it again. The moment is Redis' own. The first argument
of each is the key prefix; they make key names as store/keys.py does, and so need one Redis, not a cluster, as
Celery's Redis broker does.
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

-- The one place where a job changes its state.
local function move(id, from, to)
  redis.call('HSET', key('job', id), 'state', to)
  if from then redis.call('ZREM', key('jobs', from), id) end
  redis.call('ZADD', key('jobs', to), stamp, id)
  redis.call('XADD', key('job', id, 'events'), 'MAXLEN', '~', 1000, '*', 'state', to)
  local batch = redis.call('HGET', key('job', id), 'batch')
  if batch then
    redis.call('ZADD', key('batches'), stamp, batch)
    -- A number that is damaged keeps no job from its next state.
    if from then redis.pcall('HINCRBY', key('batch', batch), from, -1) end
    redis.pcall('HINCRBY', key('batch', batch), to, 1)
  end
end

-- The state of a job; '' if its record has lost it, nil if there is no record.
local function state_of(id)
  return redis.call('HGET', key('job', id), 'state') or (redis.call('EXISTS', key('job', id)) == 1 and '' or nil)
end

-- The table that a JSON text holds; nil if it holds none, or cannot be read.
local function decode(text)
  local is_read, value = pcall(cjson.decode, text)
  return is_read and type(value) == 'table' and value or nil
end

-- A record of a newer format: a worker leaves it alone.
local function is_newer(id)
  return (tonumber(redis.call('HGET', key('job', id), 'format')) or 1) > FORMAT
end

-- The number of the format never falls.
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

-- A worker ended or was silent while it held the job, which had not moved on since its claim: SAVE sets this to
-- nothing. A job that this happened to twice may be the cause, and from then on runs in a process of its own.
-- A number that is damaged keeps no job from its end: whoever reads the record fails the job.
local function count_lapse(id)
  local lapses = redis.pcall('HINCRBY', key('job', id), 'lapses', 1)
  if type(lapses) ~= 'number' then return 0 end
  if lapses >= 2 then redis.call('HSET', key('job', id), 'alone', 1) end
  return lapses
end

-- A job that is open again must not lapse with the time set when it ended; its batch neither.
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

-- Jobs of one thread take turns, in the order they joined.
local function join(id, turn)
  local last = redis.call('ZRANGE', key('turns', turn), -1, -1, 'WITHSCORES')
  redis.call('ZADD', key('turns', turn), tonumber(last[2] or 0) + 1, id)
end

-- Whose turn it is, and the state of that job; what has ended, or is no more, is passed over.
local function first(turn)
  while true do
    local id = redis.call('ZRANGE', key('turns', turn), 0, 0)[1]
    if not id then return nil end
    local state = redis.call('HGET', key('job', id), 'state')
    if state and not is_terminal(state) then return id, state end
    redis.call('ZREM', key('turns', turn), id)
  end
end

-- For its turn on a thread, in the batch lane (lanes.py), or in a batch that is paused.
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

#: id, owner, lease in seconds -> ['claimed', the record's fields and values] or [why not]; a job that waits for
#: its turn, or in the batch lane, stays queued: what it waits for sends it again. One of a newer format stays as it is
CLAIM = (
    PRELUDE
    + """
local id, owner, lease_s = ARGV[2], ARGV[3], tonumber(ARGV[4])
local state = state_of(id)
if not state then return {'missing'} end
if is_terminal(state) then return {state} end
if not owned(id, owner) then  -- else the reply to this claim was lost
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

#: lease in seconds, then of each held job: id, owner, HTTP calls so far or '' -> [id, 'lost' | 'cancel' | 'followed',
#: ...]; a job of which there is no news is not named, one that is both is to be cancelled. A job whose lease has lapsed
#: is held again, if nobody has claimed it since
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

#: id, owner, progress JSON -> 1, or 0 if somebody else has claimed the job
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

#: id, owner -> how often in a row the job's process has ended, this time included; 0 if somebody else has claimed it
LAPSE = (
    PRELUDE
    + """
if not owned(ARGV[2], ARGV[3]) then return 0 end
return count_lapse(ARGV[2])
"""
)

#: id, owner, HTTP calls so far or '' -> 1, or 0 if somebody else has claimed the job; a job handed back spends no
#: attempt, and one that was not begun no time
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

#: id, owner ('' takes a queued job), end state, result JSON, ttl in seconds, the longest ttl of any job, Celery's key,
#: Celery's value, kept thread
#: as JSON or '', what its batch is to count as JSON, what remains of the job or '' for all, the kept thread's
#: transcript or '' for none, leftovers as JSON...
#: -> ['finished', 'missing', 'lost', or the state that forbids it; the queued job whose turn it is now, or '': found
#: by a repetition too]
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

-- The thread is kept, or was by an earlier job: what is known of it grows with each job that ran on it.
-- Whether what this job made lives on with it: not with a stranger's thread, which is not listed (jobs: 0).
local function keep_thread()
  local news = kept ~= '' and cjson.decode(kept)
  local field = news and (news.endpoint .. '/' .. news.id) or turn
  local known = field and redis.call('HGET', key('threads'), field)
  if not news and not (known and from == 'running') then return false end
  if not known and news.jobs == 0 then return false end
  local thread = news
  if known then
    local is_read, joined = pcall(join_thread, decode(known), news)
    if not is_read then return news ~= false end  -- it is damaged, and stays as it is
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

-- What the job spent, and why it failed. A number that Redis cannot hold keeps no job from its end.
local function count()
  for field, number in pairs(cjson.decode(ARGV[11])) do
    redis.pcall('HINCRBY', key('batch', batch), field, number)
    if string.sub(field, 1, 7) == 'failed:' then redis.call('HSET', record, 'counted', field) end
  end
end

-- The last job of a batch takes with it what its jobs shared; what is known of it stays as long as any of them.
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
  -- A run comes first: it is cancelled before what it works on is deleted.
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
  redis.call('EXPIRE', key('batches'), longest)  -- else one of them may be open
end
redis.call('SET', ARGV[8], ARGV[9], 'EX', ttl)
redis.call('PUBLISH', ARGV[8], ARGV[9])
return reply('finished')
"""
)

#: id -> the state the job is in; a running one is marked for its worker to see
REQUEST_CANCEL = (
    PRELUDE
    + """
local state = redis.call('HGET', key('job', ARGV[2]), 'state')
if state == 'running' then redis.call('HSET', key('job', ARGV[2]), 'cancel_requested', stamp) end
return state or 'missing'
"""
)

#: id, Celery's key -> 'queued' when sent again, else the state that forbids it; the result joins the history
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

#: worker, most at a time -> [id, lapses in a row, ...]: jobs whose lease has lapsed, queued again by this. Only while
#: it is the worker's turn to sweep: a request that a pause of Redis held back comes too late. The owner of a job may
#: go on: it loses the job only when another claims it
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

#: seconds -> ids queued for longer than that, but for those that wait for something else than a worker
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
