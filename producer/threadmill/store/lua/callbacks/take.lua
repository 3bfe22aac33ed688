-- Takes a delivery that is due; no other worker gets it for a time. Counts the attempt, which settles it.
-- request: hold_s
-- reply: taken, id, fields and values of the delivery | none
-- include: clock

local MOST_WAITING = 20  -- how many deliveries one call postpones that wait for an earlier one of their job

local pending = keys.callbacks('pending')
for _ = 1, MOST_WAITING do
  local delivery = redis.call('ZRANGEBYSCORE', pending, '-inf', clock.now, 'LIMIT', 0, 1)[1]
  if not delivery then return {'none'} end
  local after = redis.call('HGET', keys.callback(delivery), 'after')
  local awaited = after and after ~= '' and redis.call('ZSCORE', pending, after)
  if not after then
    redis.call('ZREM', pending, delivery)  -- the hash is gone
  elseif awaited then
    redis.call('ZADD', pending, 'XX', math.max(tonumber(awaited), clock.now) + 1, delivery)
  else
    redis.pcall('HINCRBY', keys.callback(delivery), 'attempts', 1)
    redis.call('ZADD', pending, 'XX', clock.now + request.hold_s, delivery)
    return {'taken', delivery, unpack(redis.call('HGETALL', keys.callback(delivery)))}
  end
end
return {'none'}
