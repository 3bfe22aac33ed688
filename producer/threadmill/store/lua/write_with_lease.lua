-- Sets a field of a hash, if the owner still holds a lease.
-- request: lease (a key), owner, hash (a key), field, value
-- reply: written | lost

if redis.call('GET', request.lease) ~= request.owner then return {'lost'} end
redis.call('HSET', request.hash, request.field, request.value)
return {'written'}
