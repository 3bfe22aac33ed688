-- include: clock, batches, slots, tenants
local jobs = {}

local EXPIRED_AT_ONCE = 10  -- entries that one script removes from a list because their jobs are no longer kept

function jobs.has_ended(state)
  return state == 'succeeded' or state == 'failed' or state == 'cancelled'
end

-- Returns a job's state; '' if the field is missing, nil if there is no record.
function jobs.state(id)
  local state = redis.call('HGET', keys.record(id), 'state')
  return state or (redis.call('EXISTS', keys.record(id)) == 1 and '' or nil)
end

-- Changes a job's state; nothing else does. `from` is nil for a new job.
function jobs.change_state(id, from, to)
  redis.call('HSET', keys.record(id), 'state', to)
  if from then redis.call('ZREM', keys.jobs(from), id) end
  redis.call('ZADD', keys.jobs(to), clock.now, id)
  redis.call('XADD', keys.events(id), 'NOMKSTREAM', 'MAXLEN', '~', 1000, '*', 'state', to)  -- if somebody watches
  local batch, tenant, created_at = unpack(redis.call('HMGET', keys.record(id), 'batch', 'tenant', 'created_at'))
  if batch then batches.count(batch, from, to) end
  local has_ended = jobs.has_ended(to)
  if tenant and (not from or jobs.has_ended(from) ~= has_ended) then
    tenants.list(tenant, id, created_at, has_ended and 'ended' or 'open')
  end
end

-- Whether the owner holds the job: nobody has claimed it since, and it has not ended.
function jobs.is_owned(id, owner)
  return redis.call('HGET', keys.record(id), 'owner') == owner
end

function jobs.drop_lease(id)
  redis.call('ZREM', keys.leases, id)
  redis.call('HDEL', keys.record(id), 'owner')
end

-- Ends a claim: the job is queued again, its attempt does not count, and the slot of its worker is free.
function jobs.requeue(id, owner)
  slots.change(owner, 1)
  redis.call('HINCRBY', keys.record(id), 'attempts', -1)
  jobs.drop_lease(id)
  if jobs.state(id) == 'running' then jobs.change_state(id, 'running', 'queued') end
end

-- Whether the record has a newer format; then workers of this version leave it alone.
function jobs.is_newer(id)
  return (tonumber(redis.call('HGET', keys.record(id), 'format')) or 1) > FORMAT
end

-- Sets the format, but never lowers it.
function jobs.set_format(id)
  local format = tonumber(redis.call('HGET', keys.record(id), 'format')) or 0
  if format < FORMAT then redis.call('HSET', keys.record(id), 'format', FORMAT) end
end

-- Sets the trace context that all attempts continue.
function jobs.set_trace(id, request)
  for _, field in ipairs({'traceparent', 'tracestate'}) do
    if request[field] then redis.call('HSET', keys.record(id), field, request[field]) end
  end
end

-- Sets fields of a job's record, and its timeline if the request has one, in one command.
function jobs.set(request, ...)
  if request.timeline then
    redis.call('HSET', keys.record(request.id), 'timeline', request.timeline, ...)
  else
    redis.call('HSET', keys.record(request.id), ...)
  end
end

-- Counts that an attempt was interrupted: its worker died or lost the lease before it saved any progress. After two in
-- a row the job may be the cause: from then on it runs in a process of its own. With a damaged number nothing is
-- counted, and the worker that reads the record fails the job.
function jobs.count_interruption(id)
  local interruptions = redis.pcall('HINCRBY', keys.record(id), 'interruptions', 1)
  if type(interruptions) ~= 'number' then return 0 end
  if interruptions >= 2 then redis.call('HSET', keys.record(id), 'own_process', 1) end
  return interruptions
end

-- Removes entries of jobs that are no longer kept from a list by the time of their end.
function jobs.forget_expired(list, ttl_s)
  local expired = redis.call('ZRANGEBYSCORE', list, '-inf', clock.now - ttl_s, 'LIMIT', 0, EXPIRED_AT_ONCE)
  if #expired > 0 then redis.call('ZREM', list, unpack(expired)) end
  redis.call('EXPIRE', list, ttl_s)
end

-- Removes the expiry of an open job, and of its batch.
function jobs.keep(id)
  local idempotency, batch = unpack(redis.call('HMGET', keys.record(id), 'key', 'batch'))
  redis.call('PERSIST', keys.record(id))
  if idempotency then redis.call('PERSIST', keys.idempotency(idempotency)) end
  if batch then
    redis.call('PERSIST', keys.batches)
    for _, key in ipairs(batches.keys(batch)) do redis.call('PERSIST', key) end
  end
end
