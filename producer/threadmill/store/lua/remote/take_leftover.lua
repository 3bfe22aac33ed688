-- Takes a leftover that is due; no other caller gets it for a time.
-- request: hold_s
-- reply: taken, the leftover (JSON) | none
-- include: clock

local leftover = redis.call('ZRANGEBYSCORE', keys.leftovers, '-inf', clock.now, 'LIMIT', 0, 1)[1]
if not leftover then return {'none'} end
redis.call('ZADD', keys.leftovers, 'XX', clock.now + request.hold_s, leftover)
return {'taken', leftover}
