-- Finds the jobs that were dispatched a while ago and that no worker has claimed.
-- request: older_than_s
-- reply: found, id, ...
-- include: clock

local oldest = clock.now - request.older_than_s
return {'found', unpack(redis.call('ZRANGEBYSCORE', keys.dispatched, '-inf', oldest, 'LIMIT', 0, 1000))}
