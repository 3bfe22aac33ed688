-- include: clock, tuning
local pools = {}

local FIELDS = {
  -- GCRA: the time from which the next start may be made, after all places in the row (tat) or all starts made (spent)
  'requests_tat', 'requests_spent', 'tokens_tat', 'tokens_spent', 'dispatch_tat',
  'known',  -- 1: a start has told the limits of the settings
  'dispatched_at',  -- the time of the first dispatch
  'set_requests_per_minute', 'set_tokens_per_minute', 'set_concurrent', 'learn',  -- as the settings say
  'learned_requests', 'learned_tokens', 'learned_at', 'requests_reset', 'tokens_reset',  -- as headers say
  'mode', 'window', 'rate', 'w_max', 't_max', 'accepted_in_a_row', 'accepted_rate', 'accepted_at',  -- from replies
  'number', 'guessed', 'guessed_at', 'tests', 'tested', 'tested_at', 'contradictions', 'asks_tat',  -- of jobs at a time
  'epoch', 'shut_until', 'shut_at', 'shut_reason', 'pause_s', 'probe', 'down_until',
  'tokens_estimated', 'tokens_used', 'refused', 'waits', 'used_at', 'reclaimed_at',
}
local IS_TEXT = {mode = true, shut_reason = true}  -- the others are numbers

local read = {}  -- pools that this script has read, by name

-- Returns the state of a pool: fields that can be changed, for pools.write. A damaged number is absent.
function pools.read(name)
  if read[name] then return read[name] end
  local pool, stored, fields = {}, {}, redis.call('HGETALL', keys.pool(name))
  for i = 1, #fields, 2 do
    local field, value = fields[i], fields[i + 1]
    stored[field], pool[field] = value, IS_TEXT[field] and value or tonumber(value)
  end
  pool.name, pool.stored, read[name] = name, stored, pool
  return pool
end

-- Keeps a pool for an hour from its last use; once a minute is enough.
local function keep(pool)
  pool.used_at = clock.now
  redis.call('HSET', keys.pool(pool.name), 'used_at', clock.now)
  redis.call('EXPIRE', keys.pool(pool.name), tuning.KEEP_S)
  redis.call('EXPIRE', keys.pool_jobs(pool.name), tuning.KEEP_JOBS_S)
  redis.call('ZADD', keys.pools, clock.now, pool.name)
  redis.call('EXPIRE', keys.pools, tuning.KEEP_S)
  redis.call('ZREMRANGEBYSCORE', keys.pools, '-inf', clock.now - tuning.KEEP_S)
end

-- Writes the fields that were changed.
function pools.write(pool)
  local changed, removed = {}, {}
  for _, field in ipairs(FIELDS) do
    local value, stored = pool[field], pool.stored[field]
    if value == nil and stored ~= nil then table.insert(removed, field) end
    if value ~= nil and value ~= (IS_TEXT[field] and stored or tonumber(stored or '')) then
      table.insert(changed, field)
      table.insert(changed, value)
    end
    pool.stored[field] = value
  end
  if #changed > 0 then redis.call('HSET', keys.pool(pool.name), unpack(changed)) end
  if #removed > 0 then redis.call('HDEL', keys.pool(pool.name), unpack(removed)) end
  if clock.now - (pool.used_at or 0) >= 60 then keep(pool) end
end

-- Returns requests per second: the limit of the settings, or the server's, or the learned rate, or nil.
function pools.request_rate(pool)
  if pool.set_requests_per_minute then return pool.set_requests_per_minute / 60 end
  if pool.learned_requests then return math.min(pool.learned_requests * tuning.SHARE / 60, pool.rate or math.huge) end
  return pool.rate
end

-- Returns tokens per second: the limit of the settings, or the server's, or nil.
function pools.token_rate(pool)
  if pool.set_tokens_per_minute then return pool.set_tokens_per_minute / 60 end
  return pool.learned_tokens and pool.learned_tokens * tuning.SHARE / 60
end

-- Returns the tokens that a start will use: its estimate, corrected by what earlier jobs used of theirs.
function pools.expected_tokens(pool, estimate)
  if not pool.tokens_used then return estimate end
  return estimate * math.max(0.1, math.min(10, pool.tokens_used / pool.tokens_estimated))
end

-- Learns from a job how many tokens were used of those that were estimated.
function pools.learn_tokens(pool, estimated, used)
  if pool.tokens_used then
    pool.tokens_estimated = pool.tokens_estimated + (estimated - pool.tokens_estimated) * tuning.TOKENS_WEIGHT
    pool.tokens_used = pool.tokens_used + (used - pool.tokens_used) * tuning.TOKENS_WEIGHT
  else
    pool.tokens_estimated, pool.tokens_used = estimated, used
  end
end

-- Whether refusals tell the rate of requests.
function pools.is_learning(pool)
  return pool.learn ~= 0 and not pool.set_requests_per_minute
end

-- Forgets the rate that refusals told.
function pools.forget_rate(pool)
  pool.rate, pool.mode = nil, nil
end

-- Returns another share of 1 for each start that is refused, so that those who ask again come one by one.
function pools.share(pool)
  return (pool.waits or 0) * 0.618034 % 1
end
