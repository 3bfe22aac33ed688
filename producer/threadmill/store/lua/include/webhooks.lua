-- What webhooks of servers say about runs. A run is named ENDPOINT/RUN.
local webhooks = {}

local LATE_S = 60  -- a webhook of a run that is no longer awaited is known for so long
local EARLY_S = 60  -- how long a webhook may come before the job has saved the id of its run
local ARRIVING_S = 600  -- webhooks of an endpoint are expected for so long after one
local WOKEN_S, WOKEN_LIMIT = 60, 1000  -- a worker that does not read loses the wakes; its polls go on

-- Appends to a list that a worker reads. Returns whether there was room.
function webhooks.tell(list, entry)
  if redis.call('LLEN', list) >= WOKEN_LIMIT then return false end
  redis.call('LPUSH', list, entry)
  redis.call('EXPIRE', list, WOKEN_S)
  return true
end

-- Wakes the worker that holds the job, if one does; '' is no job.
local function wake(id, endpoint, run)
  redis.call('SET', keys.webhooks(endpoint), 1, 'EX', ARRIVING_S)
  local owner = id ~= '' and redis.call('HGET', keys.record(id), 'owner')
  local worker = owner and string.match(owner, '^(.*):')  -- without the number of the claim
  if worker then webhooks.tell(keys.woken(worker), table.concat({id, endpoint, run}, ' ')) end
end

-- Notes that a run has ended. Returns whether a job awaits it; if not yet, it is woken as soon as it does.
function webhooks.ended(endpoint, run)
  local name = endpoint .. '/' .. run
  local id = redis.call('GET', keys.awaited(name))
  if id then wake(id, endpoint, run) else redis.call('SET', keys.ended_early(name), 1, 'EX', EARLY_S) end
  return id and id ~= ''
end

-- Notes the run whose end a job awaits, instead of an earlier one. `awaited`: endpoint, run, ttl_s
function webhooks.await(id, awaited)
  local record, name = keys.record(id), awaited.endpoint .. '/' .. awaited.run
  local before = redis.call('HGET', record, 'awaits')
  if before == name then return end
  webhooks.forget(id)
  redis.call('HSET', record, 'awaits', name)
  redis.call('SET', keys.awaited(name), id, 'EX', awaited.ttl_s)
  if redis.call('DEL', keys.ended_early(name)) == 1 then wake(id, awaited.endpoint, awaited.run) end
end

-- A job awaits no run any more. A webhook that comes later, because a poll was faster, shows that webhooks arrive.
function webhooks.forget(id)
  local name = redis.call('HGET', keys.record(id), 'awaits')
  if not name then return end
  redis.call('SET', keys.awaited(name), '', 'EX', LATE_S)
  redis.call('HDEL', keys.record(id), 'awaits')
end
