-- Requests the cancellation of a running job.
-- request: id
-- reply: the job's state | missing
-- include: clock

local state = redis.call('HGET', keys.record(request.id), 'state')
if state == 'running' then redis.call('HSET', keys.record(request.id), 'cancel_requested', clock.text) end
return {state or 'missing'}
