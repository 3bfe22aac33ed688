-- Forgets a kept thread; its objects become leftovers.
-- request: name (ENDPOINT/THREAD), entry (as it was read), force (ignore open jobs), leftovers (a list of JSON)
-- reply: forgotten | changed: the entry is another one now | busy, id of an open job, ...
-- include: clock, jobs

local known = redis.call('HGET', keys.threads, request.name)
if not known then return {'forgotten'} end
if known ~= request.entry then return {'changed'} end
local busy = {'busy'}
for _, id in ipairs(redis.call('ZRANGE', keys.turns(request.name), 0, -1)) do
  local state = redis.call('HGET', keys.record(id), 'state')
  if state and not jobs.has_ended(state) then table.insert(busy, id) end
end
if #busy > 1 and not request.force then return busy end
redis.call('HDEL', keys.threads, request.name)
redis.call('DEL', keys.transcript(request.name))
redis.call('ZREM', keys.local_threads, request.name)
for _, leftover in ipairs(request.leftovers) do redis.call('ZADD', keys.leftovers, clock.now, leftover) end
return {'forgotten'}
