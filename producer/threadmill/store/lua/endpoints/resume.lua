-- Lets workers start jobs on a paused endpoint again.
-- request: name (of the endpoint)
-- reply: resumed | running: it was not paused
-- include: queue

if redis.call('HDEL', keys.endpoints_paused, request.name) == 0 then return {'running'} end
queue.dispatch()
return {'resumed'}
