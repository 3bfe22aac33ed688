-- Removes local threads that have expired. Nothing else has their messages.
-- request: limit
-- reply: forgotten, how many
-- include: clock

local expired = redis.call('ZRANGEBYSCORE', keys.local_threads, '-inf', clock.now, 'LIMIT', 0, request.limit)
for _, name in ipairs(expired) do
  redis.call('HDEL', keys.threads, name)
  redis.call('DEL', keys.transcript(name))
  redis.call('ZREM', keys.local_threads, name)
end
return {'forgotten', #expired}
