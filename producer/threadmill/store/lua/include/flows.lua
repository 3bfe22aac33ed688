-- include: clock, json, endpoints
--
-- A flow has the ready jobs with the same priority, tenant, batch and pools, in the order of their arrival. Its name is
-- PRIORITY|TENANT|BATCH|POOL POOL ... Tenants take turns, and so do the flows of a tenant: whose last turn, or arrival,
-- is the longest ago comes next.
local flows = {}

local EARLIER_S = 1000000000  -- jobs that come first are placed as if they had arrived so much earlier

local NOW_S = EARLIER_S / 2  -- a job that was placed so much earlier than now is one of those that come first

local STALE_AT_ONCE = 100  -- jobs without a record that one script removes from a flow

local candidates = {}  -- flows that may start a job because of what this script has changed

local turns_taken = 0  -- by this script: they need different times

-- Notes that a flow, or a tenant, had its turn.
function flows.move_to_end(ring, member)
  turns_taken = turns_taken + 1
  redis.call('ZADD', ring, clock.now + turns_taken / 1000000, member)
end

-- Returns the priority, the tenant, the batch and the pools of a flow; '' for those it has not.
function flows.parts(flow)
  return string.match(flow, '^(%l+)|([^|]*)|([^|]*)|(.*)$')
end

-- Returns a flow without the pools of the endpoints that a job has left because they could not run it.
local function without_left(flow, moves)
  local left, pools = {}, {}
  for _, move in ipairs(json.read(moves) or {}) do left[move.endpoint] = true end
  for pool in string.gmatch(string.match(flow, '[^|]*$'), '%S+') do
    if not left[endpoints.name(pool)] then table.insert(pools, pool) end
  end
  return string.match(flow, '^.*|') .. table.concat(pools, ' ')
end

-- Returns the flow of a job before it has any progress, and its progress.
local function first_flow(id)
  local flow, batch, progress, moves = unpack(
    redis.call('HMGET', keys.record(id), 'flow', 'batch', 'progress', 'moves')
  )
  if not flows.parts(flow or '') then  -- an older version created the job
    flow = table.concat({'normal', batch or '', batch or '', ''}, '|')
  end
  return moves and without_left(flow, moves) or flow, progress
end

local function interrupted(flow)
  local _, tenant, batch = flows.parts(flow)
  return table.concat({'interrupted', tenant, batch, ''}, '|')
end

function flows.is_interrupted(flow)
  return flows.parts(flow) == 'interrupted'
end

-- Returns the flow of a job. An interrupted job comes before all others, and waits for no pool: it has one.
function flows.of(id)
  local flow, progress = first_flow(id)
  return progress and interrupted(flow) or flow
end

-- Returns the flow that a ready job is in, or nil. A job that was interrupted meanwhile is still in its first flow.
function flows.holding(id)
  local flow = first_flow(id)
  for _, each in ipairs({flow, interrupted(flow)}) do
    if redis.call('ZSCORE', keys.flow(each), id) then return each end
  end
end

-- Notes since when the oldest job of a flow has been ready: the first one, or the first of those that were not placed
-- before others.
local function note_oldest(flow)
  local first, at = unpack(redis.call('ZRANGE', keys.flow(flow), 0, 0, 'WITHSCORES'))
  if not first then return end
  local since = tonumber(at)
  if since < clock.now - NOW_S then
    since = since + EARLIER_S
    local _, ordinary = unpack(
      redis.call('ZRANGEBYSCORE', keys.flow(flow), clock.now - NOW_S, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    )
    since = math.min(since, tonumber(ordinary or '') or since)
  end
  redis.call('ZADD', keys.waiting_since(flows.parts(flow)), string.format('%.3f', since), flow)
end

local function count(flow, by)
  redis.call('HINCRBY', keys.queue_counts, flows.parts(flow), by)
end

function flows.add(flow, id, is_first)
  local priority, tenant = flows.parts(flow)
  local is_new = redis.call('EXISTS', keys.flow(flow)) == 0
  if is_new then
    local has_flows = redis.call('EXISTS', keys.flows(priority, tenant)) == 1
    if not has_flows then flows.move_to_end(keys.tenants(priority), tenant) end
    flows.move_to_end(keys.flows(priority, tenant), flow)
    table.insert(candidates, flow)
  end
  local added = redis.call('ZADD', keys.flow(flow), clock.now - (is_first and EARLIER_S or 0), id)
  count(flow, added)
  if is_new or is_first then note_oldest(flow) end
end

-- Notes that a job ends: if its batch limits how many run at a time, the next one may start.
function flows.note_end(id)
  local batch = redis.call('HGET', keys.record(id), 'batch')
  if batch and redis.call('HEXISTS', keys.batch(batch), 'concurrent') == 1 then
    table.insert(candidates, (first_flow(id)))
  end
end

-- Returns the flows that may start a job because of what this script has changed: one was empty, or may run more jobs.
function flows.candidates()
  return candidates
end

-- The count of a priority is right again once nothing of it is ready, even if an older version added or removed jobs.
local function close_if_empty(flow)
  if redis.call('EXISTS', keys.flow(flow)) == 1 then
    note_oldest(flow)
    return
  end
  local priority, tenant = flows.parts(flow)
  redis.call('ZREM', keys.waiting_since(priority), flow)
  redis.call('ZREM', keys.flows(priority, tenant), flow)
  redis.call('HDEL', keys.limited, flow)
  if redis.call('EXISTS', keys.flows(priority, tenant)) == 1 then return end
  redis.call('ZREM', keys.tenants(priority), tenant)
  if redis.call('EXISTS', keys.tenants(priority)) == 0 then redis.call('HDEL', keys.queue_counts, priority) end
end

function flows.remove(flow, id)
  count(flow, -redis.call('ZREM', keys.flow(flow), id))
  close_if_empty(flow)
end

-- Returns the queued job that has waited longest, or nil.
function flows.first(flow)
  for _ = 1, STALE_AT_ONCE do
    local id = redis.call('ZRANGE', keys.flow(flow), 0, 0)[1]
    if not id then close_if_empty(flow) end
    if not id or redis.call('HGET', keys.record(id), 'state') == 'queued' then return id end
    count(flow, -redis.call('ZREM', keys.flow(flow), id))  -- its record is no longer kept
  end
end
