-- Counts that the process of a claimed job has died. A repetition counts again.
-- request: id, owner
-- reply: counted, how often in a row | lost: another worker has claimed the job
-- include: jobs

if not jobs.is_owned(request.id, request.owner) then return {'lost'} end
return {'counted', jobs.count_interruption(request.id)}
