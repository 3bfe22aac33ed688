-- Returns jobs with an expired lease to the queue, if the worker still holds the lease of the sweep. The owner of a job
-- may continue until another worker claims the job. The sweep fails a job with too many interruptions: it is not
-- dispatched.
-- request: worker, limit, interruptions (are too many)
-- reply: rescued, id, interruptions in a row, ...
-- include: clock, jobs, queue

local reply = {'rescued'}
if redis.call('GET', keys.sweep) ~= request.worker then return reply end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', keys.leases, '-inf', clock.now, 'LIMIT', 0, request.limit)) do
  redis.call('ZREM', keys.leases, id)
  if jobs.state(id) == 'running' then
    jobs.change_state(id, 'running', 'queued')
    local interruptions = jobs.count_interruption(id)
    if interruptions < request.interruptions then queue.add(id, true) end
    table.insert(reply, id)
    table.insert(reply, interruptions)
  end
end
queue.dispatch()
return reply
