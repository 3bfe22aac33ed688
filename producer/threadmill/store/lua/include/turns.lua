-- include: jobs
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

-- Whether a job waits for something other than a worker: its turn, a remote batch, or the end of its batch's pause.
function turns.must_wait(id)
  local turn, remote_batch, batch = unpack(redis.call('HMGET', keys.record(id), 'turn', 'remote_batch', 'batch'))
  local first = turn and turns.first(turn)
  return remote_batch or (first and first ~= id) or (batch and redis.call('HEXISTS', keys.batch(batch), 'paused') == 1)
end
