-- Makes a job of a remote batch an ordinary queued job again.
-- request: id, name (of the remote batch), progress (JSON)
-- reply: released | gone: the job no longer waits in that remote batch
-- include: clock, jobs, queue

local id, record = request.id, keys.record(request.id)
redis.call('SREM', keys.remote_batch(request.name), id)
if redis.call('HGET', record, 'remote_batch') ~= request.name then return {'gone'} end
redis.call('HDEL', record, 'remote_batch')
redis.call('ZREM', keys.lane_deadlines, id)
redis.call('HSET', record, 'progress', request.progress)
jobs.set_format(id)
redis.call('ZADD', keys.jobs('queued'), clock.now, id)
queue.add(id)
queue.dispatch()
return {'released'}
