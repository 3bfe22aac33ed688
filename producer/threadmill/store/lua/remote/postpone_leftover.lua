-- Counts a failed attempt to delete a leftover; a repetition counts again. The delay doubles with each attempt; after
-- the last one, the leftover is never due.
-- request: leftover (JSON), first_delay_s, limit (of attempts), ttl_s
-- reply: postponed, number of failed attempts
-- include: clock

local attempts = redis.call('HINCRBY', keys.leftover_attempts, request.leftover, 1)
local due = 'inf'
if attempts < request.limit then due = clock.now + request.first_delay_s * 2 ^ (attempts - 1) end
redis.call('ZADD', keys.leftovers, 'XX', due, request.leftover)
redis.call('EXPIRE', keys.leftovers, request.ttl_s)
redis.call('EXPIRE', keys.leftover_attempts, request.ttl_s)
return {'postponed', attempts}
