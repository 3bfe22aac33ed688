-- Moves waiting jobs of a lane into a new remote batch, once there are enough or the first has waited long enough.
-- request: lane, endpoint, limit (of jobs; so many are enough), wait_s, name, remote_batch (JSON), at_once (jobs that
--   this call moves at most), skip (jobs at the front that stay in the lane), is_more (others are in the batch already)
-- reply: collected, how many, how many of those after `skip` stay in the lane for a newer worker
-- include: clock, jobs

if redis.call('HEXISTS', keys.endpoints_paused, request.endpoint) == 1 then return {'collected', 0, 0} end

local lane = keys.lane(request.lane)
local id, since = unpack(redis.call('ZRANGE', lane, 0, 0, 'WITHSCORES'))
if not id then
  redis.call('SREM', keys.lanes, request.lane)
  return {'collected', 0, 0}
end
local are_enough = redis.call('ZCARD', lane) >= request.limit or tonumber(since) + request.wait_s <= clock.now
if not are_enough and not request.is_more then return {'collected', 0, 0} end

local collected, left = 0, 0
for _, waiting in ipairs(redis.call('ZRANGE', lane, request.skip, request.skip + request.at_once - 1)) do
  if jobs.is_newer(waiting) then
    left = left + 1
  else
    redis.call('ZREM', lane, waiting)
    if redis.call('HGET', keys.record(waiting), 'remote_batch') == '-' then
      redis.call('HSET', keys.record(waiting), 'remote_batch', request.name)
      redis.call('SADD', keys.remote_batch(request.name), waiting)
      collected = collected + 1
    end
  end
end
if collected > 0 then redis.call('HSET', keys.remote_batches, request.name, request.remote_batch) end
return {'collected', collected, left}
