-- Moves waiting jobs of a lane into a new remote batch, once there are enough or the first has waited long enough.
-- request: lane, limit (of jobs; so many are enough), wait_s, name, remote_batch (JSON)
-- reply: collected, how many
-- include: clock, jobs

local lane = keys.lane(request.lane)
local id, since = unpack(redis.call('ZRANGE', lane, 0, 0, 'WITHSCORES'))
if not id then
  redis.call('SREM', keys.lanes, request.lane)
  return {'collected', 0}
end
if redis.call('ZCARD', lane) < request.limit and tonumber(since) + request.wait_s > clock.now then
  return {'collected', 0}
end

local collected = 0
for _, waiting in ipairs(redis.call('ZRANGE', lane, 0, request.limit - 1)) do
  if not jobs.is_newer(waiting) then  -- else it stays for a newer worker
    redis.call('ZREM', lane, waiting)
    if redis.call('HGET', keys.record(waiting), 'remote_batch') == '-' then
      redis.call('HSET', keys.record(waiting), 'remote_batch', request.name)
      redis.call('SADD', keys.remote_batch(request.name), waiting)
      collected = collected + 1
    end
  end
end
if collected > 0 then redis.call('HSET', keys.remote_batches, request.name, request.remote_batch) end
return {'collected', collected}
