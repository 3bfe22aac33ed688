-- Saves the progress of a claimed job. With a start, the progress is saved only if the limits allow the call.
-- request: id, owner, progress (JSON), timeline? (JSON, if it has changed), news? (a list: limits.tell),
--   start? (pool and what limits.acquire takes), awaited? (the run whose end a webhook tells: webhooks.await)
-- reply: saved | lost: another worker has claimed the job | limited, delay_s (when to ask again), the reason,
--   the ticket to ask with ('': none), 1 if the server has to open first
-- include: jobs, limits, queue, webhooks

local start, record = request.start, keys.record(request.id)
local owner, interruptions, dispatched_to = unpack(redis.call('HMGET', record, 'owner', 'interruptions', 'pool'))

-- A job leaves the pool that it was dispatched to if it has to use another key.
local function enter_pool(name)
  if dispatched_to == name then return end
  if dispatched_to then limits.leave(dispatched_to, request.id, 0) end
  redis.call('HSET', record, 'pool', name)
end

if owner ~= request.owner then return {'lost'} end
for _, news in ipairs(request.news or {}) do limits.tell(request.id, news) end
if interruptions then redis.call('HDEL', record, 'interruptions') end  -- the job came so far: it did not end its worker
if start then
  enter_pool(start.pool)
  local is_known = redis.call('HEXISTS', keys.pool(start.pool), 'known') == 1
  local delay_s, reason, ticket, is_shut = limits.acquire(start.pool, request.id, start)
  if not is_known then queue.dispatch() end
  if delay_s then return {'limited', delay_s, reason, ticket, is_shut} end
end
jobs.set(request, 'progress', request.progress)
if request.awaited then webhooks.await(request.id, request.awaited) end
jobs.set_format(request.id)
return {'saved'}
