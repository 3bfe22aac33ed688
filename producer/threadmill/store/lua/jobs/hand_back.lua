-- Returns a claimed job to the queue. This does not count as an attempt; without progress, the job has not started.
-- request: id, owner, calls? (HTTP calls so far)
-- reply: queued | lost: another worker has claimed the job
-- include: jobs

local record = keys.record(request.id)
if not jobs.is_owned(request.id, request.owner) then return {'lost'} end
if redis.call('HEXISTS', record, 'progress') == 0 then redis.call('HDEL', record, 'started_at') end
if request.calls then redis.call('HSET', record, 'calls', request.calls) end
jobs.requeue(request.id)
return {'queued'}
