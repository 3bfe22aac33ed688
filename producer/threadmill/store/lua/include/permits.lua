-- include: clock, jobs, numbers, pools, tuning
--
-- The permit of a job is '' until it has started, and then the tokens that its starts have reserved and those that were
-- estimated for them, with '+' from its second start on, and with '-' if its first one was refused.
local permits = {}

local function has_started(permit)
  return permit and permit ~= '' and string.sub(permit, -1) ~= '-'
end

-- Whether one more job may run, or as many as have permits now.
local function has_room(pool, more)
  local most = numbers.most(pool)
  return not most or permits.given(pool) + more <= most
end

-- Frees the permits of jobs that ended without leaving, among some of them.
local function reclaim(pool)
  if clock.now - (pool.reclaimed_at or 0) < tuning.RECLAIM_S then return end
  pool.reclaimed_at = clock.now
  for _, id in ipairs(redis.call('HRANDFIELD', keys.pool_jobs(pool.name), tuning.RECLAIMED)) do
    local state = jobs.state(id)
    if not state or jobs.has_ended(state) then permits.free(pool, id, 0) end
  end
end

-- Whether there is room for a job without a permit, or (`more`: 0) for those with permits.
function permits.are_free(pool, more)
  if has_room(pool, more) then return true end
  reclaim(pool)
  return has_room(pool, more)
end

local function count(pool, is_counted)
  local number = 0
  for _, permit in ipairs(redis.call('HVALS', keys.pool_jobs(pool.name))) do
    if is_counted(permit) then number = number + 1 end
  end
  return number
end

-- Returns how many jobs have a permit and have started nothing.
function permits.unstarted(pool)
  return count(pool, function(permit) return permit == '' end)
end

-- Returns how many jobs have started, without those that were refused.
function permits.started(pool)
  return count(pool, has_started)
end

-- Returns how many jobs have a permit.
function permits.given(pool)
  return redis.call('HLEN', keys.pool_jobs(pool.name))
end

-- Gives a job a permit to run, unless it has one.
function permits.give(pool, id)
  redis.call('HSETNX', keys.pool_jobs(pool.name), id, '')
end

-- Whether a job has a permit now. If more jobs were dispatched than may run, those without a start lose their permit.
function permits.take(pool, id)
  local permit = redis.call('HGET', keys.pool_jobs(pool.name), id)
  if has_started(permit) then return true end
  if permits.are_free(pool, permit and 0 or 1) then
    permits.give(pool, id)
    return true
  end
  permits.free(pool, id, 0)
  return false
end

-- Returns the tokens that the starts of a job have reserved, those that were estimated for them, and the permit.
local function reserved(pool, id)
  local permit = redis.call('HGET', keys.pool_jobs(pool.name), id)
  local tokens, estimate = string.match(permit or '', '^([%d.]+) ([%d.]+)')
  return tonumber(tokens or 0), tonumber(estimate or 0), permit
end

-- Adds the tokens of a start. Returns whether it is the first one of the job.
function permits.reserve(pool, id, more_tokens, more_estimated)
  local tokens, estimate, before = reserved(pool, id)
  local is_first = not has_started(before)
  local permit = string.format('%.6f %.6f', tokens + more_tokens, estimate + more_estimated)
  redis.call('HSET', keys.pool_jobs(pool.name), id, permit .. (is_first and '' or ' +'))
  return is_first
end

-- Notes that a start of a job was refused. A job that has a run keeps its permit.
function permits.refuse(pool, id)
  local permit = redis.call('HGET', keys.pool_jobs(pool.name), id)
  if has_started(permit) and string.sub(permit, -1) ~= '+' then
    redis.call('HSET', keys.pool_jobs(pool.name), id, permit .. ' -')
  end
end

-- Frees the permit of a job. The row moves by what it used more or less than reserved; nil: as much as reserved.
function permits.free(pool, id, tokens_used)
  local rate, tokens, estimate = pools.token_rate(pool), reserved(pool, id)
  redis.call('HDEL', keys.pool_jobs(pool.name), id)
  if not rate or estimate == 0 or not tokens_used then return end
  if tokens_used > 0 then pools.learn_tokens(pool, estimate, tokens_used) end
  for _, field in ipairs({'tokens_tat', 'tokens_spent'}) do
    pool[field] = math.max(pool[field] or 0, clock.now - tuning.BURST_S) + (tokens_used - tokens) / rate
  end
end
