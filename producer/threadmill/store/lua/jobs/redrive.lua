-- Enqueues a failed or cancelled job again; its result becomes part of its history.
-- request: id, celery_key
-- reply: the job's state now | missing
-- include: jobs, failures, turns, queue

local id, record = request.id, keys.record(request.id)
local state, result, history, turn, batch, counted = unpack(
  redis.call('HMGET', record, 'state', 'result', 'history', 'turn', 'batch', 'counted')
)
if state ~= 'failed' and state ~= 'cancelled' then return {state or 'missing'} end
redis.call('HSET', record, 'history', (history and (history .. '\n') or '') .. result)
redis.call('HDEL', record, 'result', 'finished_at', 'started_at', 'counted', 'pool', 'moves', 'limited_s')
if counted then redis.call('HINCRBY', keys.batch(batch), counted, -1) end
failures.remove(id)
redis.call('HSET', record, 'attempts', 0)
redis.call('DEL', request.celery_key, keys.live(id))
if turn then turns.join(id, turn) end
jobs.change_state(id, state, 'queued')
jobs.keep(id)
queue.add(id)
queue.dispatch()
return {'queued'}
