-- Saves the progress of a claimed job.
-- request: id, owner, progress (JSON)
-- reply: saved | lost: another worker has claimed the job
-- include: jobs

if not jobs.is_owned(request.id, request.owner) then return {'lost'} end
redis.call('HSET', keys.record(request.id), 'progress', request.progress)
jobs.set_format(request.id)
redis.call('HDEL', keys.record(request.id), 'interruptions')
return {'saved'}
