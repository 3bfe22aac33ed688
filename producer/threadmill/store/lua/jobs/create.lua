-- Creates the record of a job; a known idempotency key or id finds the job that has it.
-- request: id, job (JSON), digest, idempotency_key?, batch?, turn? (the thread on which the job takes turns)
-- reply: created | found, id, state, digest
-- include: clock, jobs, turns

local id, record = request.id, keys.record(request.id)
local existing = request.idempotency_key and redis.call('GET', keys.idempotency(request.idempotency_key)) or id
local state, digest = unpack(redis.call('HMGET', keys.record(existing), 'state', 'digest'))
if state then return {'found', existing, state, digest} end

redis.call('HSET', record, 'job', request.job, 'digest', request.digest, 'attempts', 0, 'created_at', clock.text)
jobs.set_format(id)
if request.idempotency_key then
  redis.call('SET', keys.idempotency(request.idempotency_key), id)
  redis.call('HSET', record, 'key', request.idempotency_key)
end
if request.batch then
  redis.call('HSET', record, 'batch', request.batch)
  redis.call('ZADD', keys.batch_jobs(request.batch), clock.now, id)
end
if request.turn then
  redis.call('HSET', record, 'turn', request.turn)
  turns.join(id, request.turn)
end
jobs.change_state(id, nil, 'queued')
jobs.keep(id)
return {'created', id, 'queued', request.digest}
