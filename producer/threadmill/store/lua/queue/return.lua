-- Makes queued jobs ready again that no message reaches: it was lost, or the job was kept back.
-- request: jobs (a list of ids)
-- reply: returned, id, ... of the jobs that are still queued
-- include: jobs, queue

local reply = {'returned'}
for _, id in ipairs(request.jobs) do
  queue.remove(id)
  if jobs.state(id) == 'queued' then
    queue.add(id, true)
    table.insert(reply, id)
  end
end
queue.dispatch()
return reply
