-- The lists of jobs that failed: of each kind of failure, and of each batch.
-- include: clock, jobs
local failures = {}

local function lists(kind, batch)
  return {keys.failed_jobs(kind), batch and keys.batch_failed(batch) or nil}
end

-- Lists a job that failed now. ttl_s: how long it is kept.
function failures.add(id, kind, batch, ttl_s)
  redis.call('HSET', keys.record(id), 'failed_as', kind)
  for _, list in ipairs(lists(kind, batch)) do redis.call('ZADD', list, clock.now, id) end
  jobs.forget_expired(keys.failed_jobs(kind), ttl_s)
end

-- Removes a job that is redriven or deleted.
function failures.remove(id)
  local kind, batch = unpack(redis.call('HMGET', keys.record(id), 'failed_as', 'batch'))
  if not kind then return end
  redis.call('HDEL', keys.record(id), 'failed_as')
  for _, list in ipairs(lists(kind, batch)) do redis.call('ZREM', list, id) end
end
