-- Finds the remote object that the jobs of a batch share under a name, or lets a job make it.
-- request: batch, name, job_id, hold_s (how long the job has to make it)
-- reply: found, the object (JSON) | claimed: the job has to make it | busy: another job makes it
-- include: clock, json, batches

local shared = keys.batch_shared(request.batch)
local known = redis.call('HGET', shared, request.name)
local object = known and json.read(known)
if object and object.id then return {'found', known} end
if object and object.maker and object.maker ~= request.job_id and object.till > clock.now then return {'busy'} end
if not batches.has_open_jobs(request.batch) then return {'claimed'} end
if known and not object then redis.call('ZADD', keys.leftovers, clock.now, known) end  -- damaged: kept there
local claim = {maker = request.job_id, till = clock.now + request.hold_s}
redis.call('HSET', shared, request.name, cjson.encode(claim))
return {'claimed'}
