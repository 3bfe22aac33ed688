-- The jobs that name a tenant, in two lists by their creation: open ones, and those that have ended.
-- include: clock
local tenants = {}

local LOOKED_AT = 8  -- entries of a list of which those are removed whose job is no longer kept

-- Lists a job as 'open' or 'ended'.
function tenants.list(tenant, id, created_at, as)
  local at = tonumber(created_at or '') or 0
  if not (at > 0 and at < clock.now + 1) then at = clock.now end  -- a damaged time may be any number
  redis.call('ZREM', keys.tenant_jobs(tenant, as == 'open' and 'ended' or 'open'), id)
  redis.call('ZADD', keys.tenant_jobs(tenant, as), at, id)
end

-- Returns some entries of a list, others at each time: jobs are not kept equally long, so that the oldest entries may
-- be of jobs that are kept.
function tenants.some(tenant, as)
  local list = keys.tenant_jobs(tenant, as)
  local size = redis.call('ZCARD', list)
  if size == 0 then return {} end
  local first = math.floor(clock.now * 1000000) % size
  return redis.call('ZRANGE', list, first, first + LOOKED_AT - 1)
end

-- Removes entries of ended jobs that are no longer kept. kept_s: how long an ended job is kept at most.
function tenants.forget(tenant, kept_s)
  local ended = keys.tenant_jobs(tenant, 'ended')
  for _, id in ipairs(tenants.some(tenant, 'ended')) do
    if redis.call('EXISTS', keys.record(id)) == 0 then redis.call('ZREM', ended, id) end
  end
  redis.call('EXPIRE', ended, kept_s)
end
