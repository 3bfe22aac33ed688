-- include: clock, jobs, turns, slots, flows, passes, limits, endpoints
--
-- A queued job is ready if it waits for nothing but a slot and its pools. It is dispatched when there is a free slot:
-- then Celery's queue gets its message, in the same step.
local queue = {}

local DELAYED_AT_ONCE, OVERDUE_AT_ONCE = 10, 10  -- by one script

local POSTPONED_S = 10  -- how long a job waits that only a newer worker runs

-- Puts the message of a job on Celery's queue. MESSAGE is as Celery makes it, but for the id and a unique tag.
local function send(id)
  local message = string.gsub(MESSAGE, '@JOB@', id)
  redis.call('LPUSH', QUEUE, (string.gsub(message, '@TAG@', id .. '@' .. clock.text)))
end

local function mark_dispatched(id)
  local batch = redis.call('HGET', keys.record(id), 'batch')
  redis.call('ZADD', keys.dispatched, clock.now, id)
  if batch then redis.pcall('HINCRBY', keys.batch(batch), 'dispatched', 1) end
end

local function unmark_dispatched(id)
  if redis.call('ZREM', keys.dispatched, id) == 0 then return false end
  local batch = redis.call('HGET', keys.record(id), 'batch')
  if batch then redis.pcall('HINCRBY', keys.batch(batch), 'dispatched', -1) end
  return true
end

-- Returns for how many seconds a flow's jobs have waited for a limit while there was a free slot, and whether they do.
local function limited_s(flow)
  local sum, since = string.match(redis.call('HGET', keys.limited, flow) or '', '^([%d.]+) ([%d.]*)$')
  local started_at = tonumber(since or '')
  return (tonumber(sum or '') or 0) + (started_at and clock.now - started_at or 0), started_at ~= nil
end

-- Notes whether a flow's jobs wait for a limit. Returns for how long they have.
local function set_limited(flow, is_limited)
  local sum_s, was_limited = limited_s(flow)
  if is_limited ~= was_limited then
    redis.call('HSET', keys.limited, flow, string.format('%.3f ', sum_s) .. (is_limited and clock.text or ''))
  end
  return sum_s
end

-- A job that was dispatched to a pool, and has no run, leaves the pool until it is dispatched again.
function queue.leave_pool(id)
  local pool = redis.call('HGET', keys.record(id), 'pool')
  if not pool then return end
  limits.leave(pool, id, 0)
  redis.call('HDEL', keys.record(id), 'pool')
end

-- Makes a queued job ready, or lets it wait until its start time, its turn on its thread, or the end of its remote
-- batch. It may be ready already.
function queue.add(id, is_first)
  local record = keys.record(id)
  local not_before, deadline, remote_batch, turn = unpack(
    redis.call('HMGET', record, 'not_before', 'deadline_at', 'remote_batch', 'turn')
  )
  if remote_batch or redis.call('ZSCORE', keys.dispatched, id) then return end
  local start_at, deadline_at = tonumber(not_before or '') or 0, tonumber(deadline or '')
  if start_at > clock.now then
    redis.call('ZADD', keys.delayed, start_at, id)
    return
  end
  local first = turn and turns.first(turn)
  if first and first ~= id then return end
  if flows.holding(id) then return end
  local flow = flows.of(id)
  if not flows.is_interrupted(flow) then queue.leave_pool(id) end
  flows.add(flow, id, is_first)
  local waited_s = limited_s(flow)
  if waited_s > 0 then redis.call('HSET', record, 'limited_from', waited_s) end
  if deadline_at then redis.call('ZADD', keys.ready_deadlines, deadline_at, id) end
end

-- A job is no longer ready, dispatched or delayed.
function queue.remove(id)
  if unmark_dispatched(id) then return end
  redis.call('ZREM', keys.ready_deadlines, id)
  if redis.call('ZREM', keys.delayed, id) == 1 then return end
  local flow = flows.holding(id)
  if flow then flows.remove(flow, id) end
end

-- No worker of this version runs the job: it is ready again after a while. Until then it takes no slot.
function queue.postpone(id)
  queue.remove(id)
  if not flows.is_interrupted(flows.of(id)) then queue.leave_pool(id) end
  redis.call('ZADD', keys.delayed, clock.now + POSTPONED_S, id)
end

-- Whether a job is ready, dispatched or delayed.
function queue.has(id)
  return redis.call('ZSCORE', keys.dispatched, id) or redis.call('ZSCORE', keys.delayed, id) or flows.holding(id)
end

-- Dispatches a ready job, which is in this flow.
local function dispatch(id, flow)
  flows.remove(flow, id)
  redis.call('ZREM', keys.ready_deadlines, id)
  mark_dispatched(id)
  send(id)
end

-- Whether no job of the batch can start: the batch is paused, or has as many running jobs as it may have.
local function is_held(batch, priority)
  if batch == '' then return false end
  local paused, concurrent, running, dispatched = unpack(
    redis.call('HMGET', keys.batch(batch), 'paused', 'concurrent', 'running', 'dispatched')
  )
  if paused or priority == 'interrupted' or not concurrent then return paused end
  return (tonumber(running or 0) or 0) + (tonumber(dispatched or 0) or 0) >= (tonumber(concurrent) or 0)
end

-- Returns the first pool that can take another job; nil if none can. Pools of a fallback come into question while all
-- pools of the endpoints before it are out: a job does not go elsewhere only because it would wait for its turn.
local function find_open(pools)
  local endpoint, is_waited_for, usable = nil, false, nil
  for pool in string.gmatch(pools, '%S+') do
    local name = endpoints.name(pool)
    if name ~= endpoint and is_waited_for then break end
    endpoint = name
    local is_open, is_out = limits.may_dispatch(pool)
    if is_open and not is_out then return pool end
    if is_open then usable = usable or pool end
    if not is_out then is_waited_for = true end
  end
  return not is_waited_for and usable or nil  -- all are out; one that only seems to be down is tried
end

local closed = {}  -- pools of which none can take a job; a dispatch opens none

local function open_pool(pools)
  local pool = not closed[pools] and find_open(pools) or nil
  closed[pools] = not pool
  return pool
end

-- Dispatches the next job of a flow, unless its batch or its pools forbid it. Returns whether it did, and the pools
-- that forbade it.
local function dispatch_from(flow)
  local priority, _, batch, pools = flows.parts(flow)
  if is_held(batch, priority) then return false end
  local pool, waited_s = nil, 0
  if pools ~= '' then
    pool = open_pool(pools)
    waited_s = set_limited(flow, not pool)
    if not pool then return false, pools end
  end
  local id = flows.first(flow)
  if not id then return false end
  if pool then
    redis.call('HSET', keys.record(id), 'pool', pool)
    limits.dispatched(pool, id)
  end
  if waited_s > 0 then
    local from = tonumber(redis.call('HGET', keys.record(id), 'limited_from') or 0) or 0
    redis.call('HSET', keys.record(id), 'limited_s', string.format('%.3f', math.max(0, waited_s - from)))
  end
  dispatch(id, flow)
  return true
end

-- Returns whether there are more than one script may wake.
local function wake_delayed()
  local due = redis.call('ZRANGEBYSCORE', keys.delayed, '-inf', clock.now, 'LIMIT', 0, DELAYED_AT_ONCE)
  for _, id in ipairs(due) do
    redis.call('ZREM', keys.delayed, id)
    redis.call('HDEL', keys.record(id), 'not_before')
    if jobs.state(id) == 'queued' then queue.add(id) end
  end
  return #due == DELAYED_AT_ONCE
end

-- Dispatches jobs whose deadline has passed, whatever the limits: a worker fails them. Returns their number.
local function dispatch_overdue(wanted)
  local limit = math.min(wanted, OVERDUE_AT_ONCE)
  local overdue = redis.call('ZRANGEBYSCORE', keys.ready_deadlines, '-inf', clock.now, 'LIMIT', 0, limit)
  for _, id in ipairs(overdue) do dispatch(id, flows.holding(id) or flows.of(id)) end
  return #overdue
end

-- Dispatches ready jobs to free slots without a message, but not very many at once. Returns what is left to do:
-- 0: nothing, 1: more jobs may follow, 2: more flows have to be asked.
function queue.dispatch()
  local are_delayed = wake_delayed()
  local wanted = slots.free() - redis.call('ZCARD', keys.dispatched)
  local overdue = wanted > 0 and dispatch_overdue(wanted) or 0
  local left = passes.continue(wanted - overdue, dispatch_from, open_pool)
  return (are_delayed or overdue == OVERDUE_AT_ONCE) and 1 or left
end
