-- Shares a remote object with the jobs of a batch, under a name.
-- request: batch, name, object (JSON)
-- reply: added | refused: there is another one already, or the batch has no open job to use it
-- include: json, batches

local shared = keys.batch_shared(request.batch)
if not batches.has_open_jobs(request.batch) then return {'refused'} end
local known = redis.call('HGET', shared, request.name)
local object = known and json.read(known)
if object and object.id and known ~= request.object then return {'refused'} end
redis.call('HSET', shared, request.name, request.object)
return {'added'}
