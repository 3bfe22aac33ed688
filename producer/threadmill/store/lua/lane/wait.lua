-- Puts a claimed job into the batch lane, where it waits without a worker. This does not count as an attempt.
-- request: id, owner, lane, longest_s, deadline? (seconds since 1970), timeline? (JSON)
-- reply: waits | lost: another worker has claimed the job
-- include: clock, jobs, queue

local id, record = request.id, keys.record(request.id)
if not jobs.is_owned(id, request.owner) then return {'lost'} end
jobs.set(request, 'remote_batch', '-')
redis.call('HDEL', record, 'started_at')
redis.call('HSETNX', record, 'lane_since', clock.text)
local due = tonumber(redis.call('HGET', record, 'lane_since')) + request.longest_s
redis.call('ZADD', keys.lane_deadlines, math.min(due, request.deadline or due), id)
queue.remove(id)
queue.leave_pool(id)
jobs.requeue(id, request.owner)
redis.call('SADD', keys.lanes, request.lane)
redis.call('ZADD', keys.lane(request.lane), clock.now, id)
queue.dispatch()
return {'waits'}
