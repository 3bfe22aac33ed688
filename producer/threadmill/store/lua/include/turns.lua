-- include: clock, jobs
local turns = {}

-- Adds a job to the turns of its thread, after all others.
function turns.join(id, turn)
  local last = redis.call('ZRANGE', keys.turns(turn), -1, -1, 'WITHSCORES')
  redis.call('ZADD', keys.turns(turn), tonumber(last[2] or 0) + 1, id)
end

-- Returns the job whose turn it is, and its state. Removes jobs that have ended or are no longer kept.
function turns.first(turn)
  while true do
    local id = redis.call('ZRANGE', keys.turns(turn), 0, 0)[1]
    if not id then return nil end
    local state = redis.call('HGET', keys.record(id), 'state')
    if state and not jobs.has_ended(state) then return id, state end
    redis.call('ZREM', keys.turns(turn), id)
  end
end

-- Whether a job waits for something other than a worker: its start time, its turn, a remote batch, or the end of its
-- batch's pause. A job whose deadline has passed does not wait for the last: a worker fails it.
function turns.must_wait(id)
  local not_before, turn, remote_batch, batch, deadline = unpack(
    redis.call('HMGET', keys.record(id), 'not_before', 'turn', 'remote_batch', 'batch', 'deadline_at')
  )
  local first = turn and turns.first(turn)
  if remote_batch or (first and first ~= id) or (tonumber(not_before or '') or 0) > clock.now then return true end
  local is_overdue = (tonumber(deadline or '') or math.huge) <= clock.now
  return batch and not is_overdue and redis.call('HEXISTS', keys.batch(batch), 'paused') == 1
end
