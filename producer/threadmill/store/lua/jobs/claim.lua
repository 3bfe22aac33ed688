-- Takes the lease of a job. A job that waits stays queued; it is dispatched when its wait has ended.
-- request: id, owner, lease_s, traceparent?, tracestate? (of the worker's own span: for a job that is not traced yet)
-- reply: claimed, field, value, ... of the record | missing | the state of an ended job | leased: by another worker |
--   waits | newer, its format: for a newer worker
-- include: clock, jobs, turns, slots, queue

local id, owner, record = request.id, request.owner, keys.record(request.id)
local state = jobs.state(id)
if not state then return {'missing'} end
if jobs.has_ended(state) then return {state} end
if not jobs.is_owned(id, owner) then  -- else this repeats a claim whose reply was lost
  local expires_at = tonumber(redis.call('ZSCORE', keys.leases, id) or 0)
  if state == 'running' and expires_at > clock.now then return {'leased'} end
  if state == 'queued' and turns.must_wait(id) then
    queue.remove(id)
    queue.add(id, true)
    queue.dispatch()
    return {'waits'}
  end
  if jobs.is_newer(id) then
    if state == 'queued' then queue.postpone(id) end
    queue.dispatch()
    return {'newer', redis.call('HGET', record, 'format')}
  end
  queue.remove(id)
  slots.change(owner, -1)
  redis.call('HSET', record, 'owner', owner)
  if state == 'running' then jobs.count_interruption(id) end
  redis.pcall('HINCRBY', record, 'attempts', 1)
  redis.call('HSETNX', record, 'started_at', clock.text)
  if request.traceparent and redis.call('HEXISTS', record, 'traceparent') == 0 then jobs.set_trace(id, request) end
  redis.call('ZADD', keys.leases, clock.now + request.lease_s, id)
  if state == 'queued' then jobs.change_state(id, 'queued', 'running') end
end
return {'claimed', unpack(redis.call('HGETALL', record))}
