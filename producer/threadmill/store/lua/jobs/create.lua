-- Creates the record of a job; a known idempotency key or id finds the job that has it.
-- request: id, job (JSON), digest, sender, flow, idempotency_key?, batch?, tenant?, turn? (the thread on which the job
--   takes turns), thread_ttl_s? (if it is local), not_before? (its start time), delay_s?, deadline_at?, callback?
--   (JSON: its receiver), is_delivered? (its message is being handled), traceparent?, tracestate?
-- reply: created | found, id, state, digest
-- include: clock, jobs, threads, turns, queue

local id, record = request.id, keys.record(request.id)
local existing = request.idempotency_key and redis.call('GET', keys.idempotency(request.idempotency_key)) or id
local state, digest = unpack(redis.call('HMGET', keys.record(existing), 'state', 'digest'))
if state then return {'found', existing, state, digest} end

redis.call(
  'HSET', record, 'job', request.job, 'digest', request.digest, 'sender', request.sender, 'flow', request.flow,
  'attempts', 0, 'created_at', clock.text
)
jobs.set_format(id)
if request.idempotency_key then
  redis.call('SET', keys.idempotency(request.idempotency_key), id)
  redis.call('HSET', record, 'key', request.idempotency_key)
end
if request.batch then
  redis.call('HSET', record, 'batch', request.batch)
  redis.call('ZADD', keys.batch_jobs(request.batch), clock.now, id)
end
if request.tenant then redis.call('HSET', record, 'tenant', request.tenant) end
if request.turn then
  redis.call('HSET', record, 'turn', request.turn)
  turns.join(id, request.turn)
end
local not_before = request.not_before or (request.delay_s and clock.now + request.delay_s)
if request.turn then threads.renew(request.turn, math.max(clock.now, not_before or 0) + request.thread_ttl_s) end
if not_before then redis.call('HSET', record, 'not_before', string.format('%.6f', not_before)) end
if request.deadline_at then redis.call('HSET', record, 'deadline_at', string.format('%.6f', request.deadline_at)) end
if request.callback then redis.call('HSET', record, 'callback', request.callback) end
jobs.set_trace(id, request)
jobs.change_state(id, nil, 'queued')
redis.call('HINCRBY', keys.queue_counts, 'created', 1)
jobs.keep(id)
if not request.is_delivered then
  queue.add(id)
  queue.dispatch()
end
return {'created', id, 'queued', request.digest}
