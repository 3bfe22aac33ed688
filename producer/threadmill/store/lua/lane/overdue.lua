-- Finds the jobs that have waited in the batch lane for too long.
-- request: limit
-- reply: found, id, ...
-- include: clock

local reply = {'found'}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', keys.lane_deadlines, '-inf', clock.now, 'LIMIT', 0, request.limit)) do
  if redis.call('HGET', keys.record(id), 'remote_batch') then
    table.insert(reply, id)
  else
    redis.call('ZREM', keys.lane_deadlines, id)
  end
end
return reply
