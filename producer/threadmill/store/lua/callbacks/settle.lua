-- Records the outcome of an attempt: the delivery has ended, or is due again later.
-- request: id, attempt (its number, as taken), state (pending | delivered | dead), delay_s? (pending), reason, status?,
--   ttl_s (of ended deliveries)
-- reply: settled | lost: another attempt has begun, or the delivery was dropped
-- include: clock, callbacks

local EXPIRED_AT_ONCE = 10  -- deliveries that leave the list of their state because they are no longer kept

local id, record = request.id, keys.callback(request.id)
local attempts = redis.call('HGET', record, 'attempts')
if attempts ~= tostring(request.attempt) or not redis.call('ZSCORE', keys.callbacks('pending'), id) then
  return {'lost'}
end
redis.call('HSET', record, 'reason', request.reason, 'status', request.status or '')
if request.state == 'pending' then
  redis.call('ZADD', keys.callbacks('pending'), clock.now + request.delay_s, id)
  return {'settled'}
end
callbacks.move(id, 'pending', request.state, clock.now)
callbacks.let_follow(id)
redis.call('EXPIRE', record, request.ttl_s)
local ended = keys.callbacks(request.state)
local expired = redis.call('ZRANGEBYSCORE', ended, '-inf', clock.now - request.ttl_s, 'LIMIT', 0, EXPIRED_AT_ONCE)
if #expired > 0 then redis.call('ZREM', ended, unpack(expired)) end
redis.call('EXPIRE', ended, request.ttl_s)
return {'settled'}
