-- include: clock, flows
--
-- A pass asks all flows, by priority and in the order of their turns, for jobs to dispatch. If very many of them are
-- held back, several scripts make a pass together, so that none of them takes long.
local passes = {}

local PRIORITIES = {'interrupted', 'high', 'normal', 'low'}

local JOBS_AT_ONCE = 3  -- that one script dispatches

local REFUSALS_AT_ONCE = 8  -- that one script gets; the next one continues after these flows

local STAYS_S = 1  -- so long after its start, a pass stays where it found jobs, and does not ask the flows before again

local POOLS = 8  -- a pass starts again if one of so many that refused a job takes one now

local NOTHING, MORE_JOBS, MORE_FLOWS = 0, 1, 2  -- what a script leaves to the next ones

local function new()
  return {started_at = clock.now, priority = 1, tenants = 0, flows = 0, closed = {}, is_new = true}
end

-- Returns the pass under way, or a new one.
local function continued(is_open)
  local stored = redis.call('GET', keys.dispatch_pass)
  local at, closed = string.match(stored or '', '^([^|]*)|(.*)$')
  local started_at, priority, tenants, flow = string.match(at or '', '^([%d.]+) (%d) (%d+) (%d+)$')
  if not started_at then return new() end
  local pass = {
    started_at = tonumber(started_at), priority = tonumber(priority), tenants = tonumber(tenants),
    flows = tonumber(flow), closed = {},
  }
  for pools in string.gmatch(closed, '[^|]+') do
    if is_open(pools) then return new() end
    table.insert(pass.closed, pools)
    pass.closed[pools] = true
  end
  return pass
end

local function store(pass)
  local is_refused = pass.refusals == 0
  if is_refused or (pass.wanted == 0 and not pass.is_new and clock.now < pass.started_at + STAYS_S) then
    local at = string.format('%.6f %d %d %d', pass.started_at, pass.priority, pass.tenants, pass.flows)
    redis.call('SET', keys.dispatch_pass, at .. '|' .. table.concat(pass.closed, '|'))
  elseif not pass.is_new then
    redis.call('DEL', keys.dispatch_pass)
  end
end

local function note_closed(pass, pools)
  if not pools or pass.closed[pools] or #pass.closed == POOLS then return end
  table.insert(pass.closed, pools)
  pass.closed[pools] = true
end

-- Dispatches the next job of a tenant. Returns whether there was one.
local function take_turn(pass, priority, tenant, dispatch_from)
  local ring = keys.flows(priority, tenant)
  while pass.refusals > 0 do
    local flow = redis.call('ZRANGE', ring, pass.flows, pass.flows)[1]
    if not flow then return false end
    local is_served, closed_pools = dispatch_from(flow)
    if is_served then
      if redis.call('EXISTS', keys.flow(flow)) == 1 then flows.move_to_end(ring, flow) end
      return true
    end
    note_closed(pass, closed_pools)
    pass.flows, pass.refusals = pass.flows + 1, pass.refusals - 1
  end
  return false
end

-- Returns whether all tenants were asked.
local function take_turns(pass, priority, dispatch_from)
  local tenants = keys.tenants(priority)
  while pass.wanted > 0 and pass.refusals > 0 do
    local tenant = redis.call('ZRANGE', tenants, pass.tenants, pass.tenants)[1]
    if not tenant then return true end
    if take_turn(pass, priority, tenant, dispatch_from) then
      pass.wanted, pass.flows = pass.wanted - 1, 0
      if redis.call('EXISTS', keys.flows(priority, tenant)) == 1 then flows.move_to_end(tenants, tenant) end
    elseif pass.refusals > 0 then
      pass.flows = 0
      if redis.call('ZSCORE', tenants, tenant) then pass.tenants = pass.tenants + 1 end
    end
  end
  return false
end

-- Asks the flows that may start a job because of this script: the pass may come to them much later.
local function ask_candidates(pass, dispatch_from)
  for _, flow in ipairs(flows.candidates()) do
    if pass.wanted > 0 and redis.call('EXISTS', keys.flow(flow)) == 1 then
      local is_served, closed_pools = dispatch_from(flow)
      note_closed(pass, closed_pools)
      if is_served then pass.wanted = pass.wanted - 1 end
    end
  end
end

-- Continues the pass, until `wanted` jobs are dispatched, or as many as one script may dispatch. Returns 1 if more jobs
-- may follow, 2 if more flows have to be asked, and else 0.
-- dispatch_from(flow) returns whether it dispatched a job, and else the pools that refused it, if they did.
-- is_open(pools) returns whether pools that refused a job can take one now.
function passes.continue(wanted, dispatch_from, is_open)
  if wanted <= 0 then return NOTHING end
  local pass = continued(is_open)
  pass.wanted, pass.refusals = math.min(wanted, JOBS_AT_ONCE), REFUSALS_AT_ONCE
  while PRIORITIES[pass.priority] and take_turns(pass, PRIORITIES[pass.priority], dispatch_from) do
    pass.priority, pass.tenants, pass.flows = pass.priority + 1, 0, 0
  end
  store(pass)
  if pass.refusals == 0 then ask_candidates(pass, dispatch_from) end
  if pass.wanted == 0 then return wanted > JOBS_AT_ONCE and MORE_JOBS or NOTHING end
  return pass.refusals == 0 and MORE_FLOWS or NOTHING
end
