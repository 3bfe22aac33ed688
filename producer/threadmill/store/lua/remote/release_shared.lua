-- Lets another job make a shared object that this job was going to make.
-- request: batch, name, job_id
-- reply: released
-- include: json

local shared = keys.batch_shared(request.batch)
local known = redis.call('HGET', shared, request.name)
local object = known and json.read(known)
if object and object.maker == request.job_id then redis.call('HDEL', shared, request.name) end
return {'released'}
