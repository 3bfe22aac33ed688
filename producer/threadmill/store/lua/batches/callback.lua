-- Sets the receiver of a batch's callback. It is called once, when no job of the batch is open; now, if none is.
-- request: name, callback (JSON)
-- reply: awaited | added | unknown: there is no such batch
-- include: batches, callbacks

if redis.call('EXISTS', keys.batch(request.name)) == 0 then return {'unknown'} end
redis.call('HSET', keys.batch(request.name), 'callback', request.callback)
if batches.has_open_jobs(request.name) then return {'awaited'} end
callbacks.add_for_batch(request.name)
return {'added'}
