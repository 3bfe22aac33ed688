-- Returns a claimed job to the queue, for an endpoint that it has not left yet. This does not count as an attempt.
-- request: id, owner, moves (JSON: all endpoints that it has left), calls, leftovers (a list of JSON),
--   timeline? (JSON), pool?, tokens_used?, news?
-- reply: queued | lost: another worker has claimed the job
-- include: clock, jobs, queue, limits, webhooks

local id, record = request.id, keys.record(request.id)
if not jobs.is_owned(id, request.owner) then return {'lost'} end
jobs.set(request, 'moves', request.moves, 'calls', request.calls)
redis.call('HDEL', record, 'progress', 'pool')
webhooks.forget(id)
for _, leftover in ipairs(request.leftovers) do redis.call('ZADD', keys.leftovers, clock.now, leftover) end
limits.close(request)
jobs.requeue(id, request.owner)
queue.add(id, true)
queue.dispatch()
return {'queued'}
