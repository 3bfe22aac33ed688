-- Makes queued jobs ready that should be and are not, such as those that an older version has created. Reads some
-- queued jobs at a time, in the order in which they were queued.
-- request: start (number of jobs before them), limit
-- reply: adopted, number of jobs read, id, ...
-- include: turns, queue

local queued = redis.call('ZRANGE', keys.jobs('queued'), request.start, request.start + request.limit - 1)
local reply = {'adopted', #queued}
for _, id in ipairs(queued) do
  local is_read, is_missing = pcall(function() return not turns.must_wait(id) and not queue.has(id) end)
  if is_read and is_missing then
    queue.add(id)
    table.insert(reply, id)
  end
end
queue.dispatch()
return reply
