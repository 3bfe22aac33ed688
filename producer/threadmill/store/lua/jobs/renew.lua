-- Renews leases; an expired lease too, if nobody has claimed the job since. Tells how many more jobs a worker can run,
-- and dispatches jobs to it.
-- request: worker?, free? (its free slots), lease_s, jobs (a list of id, owner, calls? (HTTP calls so far))
-- reply: renewed, what is left to do, as queue/dispatch says, id, lost | cancel | followed, ...; jobs without news are
--   left out, and cancel goes before followed
-- include: clock, jobs, slots, queue

local reply = {'renewed', 0}
local function report(id, news)
  table.insert(reply, id)
  table.insert(reply, news)
end

for _, job in ipairs(request.jobs) do
  local record = keys.record(job.id)
  local owner, state, cancel = unpack(redis.call('HMGET', record, 'owner', 'state', 'cancel_requested'))
  if owner ~= job.owner then
    report(job.id, 'lost')
  else
    redis.call('ZADD', keys.leases, clock.now + request.lease_s, job.id)
    if job.calls then redis.call('HSET', record, 'calls', job.calls) end
    if state == 'queued' then
      queue.remove(job.id)
      jobs.change_state(job.id, 'queued', 'running')
    end
    if cancel then
      report(job.id, 'cancel')
    elseif redis.call('EXISTS', keys.followed(job.id)) == 1 then
      report(job.id, 'followed')
    end
  end
end
if request.worker then slots.set(request.worker, request.free) end
reply[2] = queue.dispatch()
return reply
