-- Limits how many jobs of a batch run at a time, or removes its limit.
-- request: name, concurrent? (absent: no limit)
-- reply: limited | unlimited | unknown: there is no such batch
-- include: queue

local batch = keys.batch(request.name)
if redis.call('EXISTS', batch) == 0 then return {'unknown'} end
if request.concurrent then
  redis.call('HSET', batch, 'concurrent', request.concurrent)
else
  redis.call('HDEL', batch, 'concurrent')
end
queue.dispatch()
return {request.concurrent and 'limited' or 'unlimited'}
