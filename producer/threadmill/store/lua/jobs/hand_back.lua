-- Returns a claimed job to the queue. This does not count as an attempt; without progress, the job has not started.
-- request: id, owner, calls? (HTTP calls so far), is_postponed? (a newer worker has to run it),
--   pool? (which it leaves), tokens_used?, news?
-- reply: queued | lost: another worker has claimed the job
-- include: jobs, queue, limits

local record = keys.record(request.id)
if not jobs.is_owned(request.id, request.owner) then return {'lost'} end
if redis.call('HEXISTS', record, 'progress') == 0 then redis.call('HDEL', record, 'started_at') end
if request.calls then redis.call('HSET', record, 'calls', request.calls) end
limits.close(request)
jobs.requeue(request.id, request.owner)
if request.is_postponed then queue.postpone(request.id) else queue.add(request.id, true) end
queue.dispatch()
return {'queued'}
