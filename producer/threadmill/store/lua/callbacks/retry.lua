-- Makes a delivery due now: a dead one starts over with its attempts, a pending one is not waited for any longer.
-- request: id
-- reply: pending | delivered | missing
-- include: clock, callbacks

local id, record = request.id, keys.callback(request.id)
if redis.call('EXISTS', record) == 0 then return {'missing'} end
if redis.call('ZSCORE', keys.callbacks('delivered'), id) then return {'delivered'} end
if redis.call('ZSCORE', keys.callbacks('dead'), id) then
  callbacks.move(id, 'dead', 'pending', clock.now)
  redis.call('HSET', record, 'attempts', 0)
  redis.call('PERSIST', record)
else
  redis.call('ZADD', keys.callbacks('pending'), clock.now, id)
end
return {'pending'}
