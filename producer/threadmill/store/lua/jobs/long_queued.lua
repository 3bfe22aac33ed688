-- Finds the jobs that have been queued for longer than a time and wait for nothing but a worker.
-- request: longer_than_s
-- reply: found, id, ...
-- include: clock, turns

local reply = {'found'}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', keys.jobs('queued'), '-inf', clock.now - request.longer_than_s)) do
  local is_read, must_wait = pcall(turns.must_wait, id)
  if is_read and not must_wait then table.insert(reply, id) end
end
return reply
