-- include: clock
local batches = {}

-- Counts that a job of the batch changed its state; `from` is nil for a new job.
function batches.count(batch, from, to)
  redis.call('ZADD', keys.batches, clock.now, batch)
  -- pcall: a damaged number must not prevent the change.
  if from then redis.pcall('HINCRBY', keys.batch(batch), from, -1) end
  redis.pcall('HINCRBY', keys.batch(batch), to, 1)
  if to == 'queued' then redis.call('ZADD', keys.batches_open, clock.now, batch) end
end

function batches.has_open_jobs(batch)
  local queued, running = unpack(redis.call('HMGET', keys.batch(batch), 'queued', 'running'))
  return (tonumber(queued or 0) or 0) + (tonumber(running or 0) or 0) > 0
end

-- The keys that are kept as long as any job of the batch.
function batches.keys(batch)
  return {
    keys.batch(batch), keys.batch_jobs(batch), keys.batch_done(batch), keys.batch_failed(batch), keys.batch_stats(batch)
  }
end
