-- Deletes the record of a job that has ended, as its expiry would.
-- request: id
-- reply: deleted | missing | the state that forbids it
-- include: jobs, failures

local id, record = request.id, keys.record(request.id)
local state = jobs.state(id)
if not state then return {'missing'} end
if not jobs.has_ended(state) then return {state} end
local idempotency = redis.call('HGET', record, 'key')
if idempotency and redis.call('GET', keys.idempotency(idempotency)) == id then
  redis.call('DEL', keys.idempotency(idempotency))
end
failures.remove(id)
redis.call('DEL', record, keys.live(id), keys.events(id))
redis.call('ZREM', keys.jobs(state), id)
return {'deleted'}
