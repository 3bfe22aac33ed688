-- include: clock, endpoints, headers, learning, numbers, permits, pools, rows, tuning
local limits = {}

-- Whether starts without a reply are bounded, because nothing is known about the limit.
local function has_window(pool)
  return pool.learn ~= 0 and not pools.request_rate(pool) and not numbers.are_learned(pool)
end

local function is_window_full(pool)
  local starts = keys.pool_starts(pool.name)
  redis.call('ZREMRANGEBYSCORE', starts, '-inf', clock.now)
  return redis.call('ZCARD', starts) >= (pool.window or tuning.WINDOW)
end

-- Stores the limits of the settings, which come with each start. The row keeps what was started, in the new measure.
local function store_set_limits(pool, start)
  pool.learn = start.learn == false and 0 or nil
  if pool.learn then pool.learned_requests, pool.learned_tokens = nil, nil end
  if pool.learn or start.requests_per_minute then pools.forget_rate(pool) end
  if pool.learn or start.requests_per_minute or start.concurrent then numbers.forget(pool) end
  pool.set_concurrent, pool.known = start.concurrent, 1
  for _, kind in ipairs({'requests', 'tokens'}) do
    local field, spent = 'set_' .. kind .. '_per_minute', kind .. '_spent'
    local was, now = pool[field], start[kind .. '_per_minute']
    if was ~= now then
      if was and now then pool[spent] = clock.now + ((pool[spent] or clock.now) - clock.now) * was / now end
      pool[field] = now
      rows.clear(pool, clock.now)
    end
  end
end

local function refuse(pool, at, reason, ticket, is_shut)
  pool.waits = (pool.waits or 0) + 1
  pools.write(pool)
  return string.format('%.6f', math.max(at - clock.now, 0.001)), reason, ticket or '', is_shut and 1 or 0
end

local function grant(pool, id, costs, at, estimate, tokens)
  rows.spend(pool, costs, at)
  if pool.probe then pool.probe = clock.now + tuning.PROBE_S end
  if has_window(pool) then
    redis.call('ZADD', keys.pool_starts(pool.name), clock.now + tuning.UNANSWERED_S, id)
    redis.call('EXPIRE', keys.pool_starts(pool.name), tuning.KEEP_S)
  end
  local is_first = permits.reserve(pool, id, costs.tokens and tokens or 0, costs.tokens and estimate or 0)
  if is_first and pool.guessed and numbers.are_learned(pool) then numbers.started(pool, permits.started(pool)) end
  pool.tokens_estimated = pool.tokens_estimated or costs.tokens and estimate or nil
  pools.write(pool)
end

-- Returns when a job asks again for a permit: those who wait come one by one, as often as jobs end.
local function ask_for_permit(pool)
  local at = math.max(clock.now, pool.asks_tat or 0) + 1 / math.max(1, learning.measured(pool))
  at = math.min(at, clock.now + tuning.ASK_CONCURRENT_S)
  pool.asks_tat = math.max(pool.asks_tat or 0, at)
  return at
end

-- Lets a job make a call that the server counts: nil; or says when to ask again: delay_s, reason, ticket (which holds
-- the job's place in the row, '' is none), 1 if it waits for the server to open. It takes from all limits or from none.
-- start: tokens? (an estimate), ticket?, learn?, requests_per_minute?, tokens_per_minute?, concurrent?
function limits.acquire(name, id, start)
  local pool, estimate, paused = pools.read(name), start.tokens or 0, endpoints.why_paused(name)
  store_set_limits(pool, start)
  numbers.settle(pool, learning.measured(pool))
  if paused then return refuse(pool, clock.now + tuning.ASK_PAUSED_S, paused) end
  if not permits.take(pool, id) then
    local reason = pool.set_concurrent and 'concurrent' or 'as many jobs run as the server takes'
    return refuse(pool, ask_for_permit(pool), reason)
  end

  local tokens = pools.expected_tokens(pool, estimate)
  local costs, opens, at = rows.costs(pool, tokens), rows.opening(pool), rows.place(pool, start.ticket)
  if at and at > clock.now + tuning.EARLY_S then return refuse(pool, at, 'its place in the row', start.ticket) end
  if not at or opens > clock.now then
    local next_at, reason, is_shut = rows.next(pool, costs)
    if next_at > clock.now then
      local again_at, ticket = rows.join(pool, costs, next_at)
      return refuse(pool, again_at, reason, ticket, is_shut)
    end
    at = next_at
    if has_window(pool) and is_window_full(pool) then
      return refuse(pool, at + tuning.ASK_WINDOW_S * pools.share(pool), 'replies to the first starts')
    end
    rows.take(pool, costs, at)
  end
  grant(pool, id, costs, at, estimate, tokens)
end

-- Learns from the reply to a call of a job.
-- news: pool, kind (accepted | refused | wait: another call was refused, for delay_s | failed), sent_at, delay_s?,
-- reason?, requests_limit?, requests_remaining?, requests_reset_s?, tokens_limit?, tokens_remaining?, tokens_reset_s?
function limits.tell(id, news)
  local pool = pools.read(news.pool)
  headers.learn(pool, news)
  if news.kind == 'accepted' then learning.accepted(pool, news) end
  if news.kind == 'refused' then
    permits.refuse(pool, id)
    learning.refused(pool, news)
  end
  if news.kind == 'wait' then learning.told_to_wait(pool, news) end
  if news.kind == 'failed' then pool.down_until = clock.now + (news.delay_s or tuning.DOWN_S) end
  redis.call('ZREM', keys.pool_starts(news.pool), id)
  pools.write(pool)
end

-- Ends the use of a pool by a job that has ended, or that waits in the ready queue without a run.
-- tokens_used: nil if not known, 0 if it had no run
function limits.leave(name, id, tokens_used)
  local pool = pools.read(name)
  permits.free(pool, id, tokens_used)
  redis.call('ZREM', keys.pool_starts(name), id)
  pools.write(pool)
end

-- Does both for a request that ends a job's use of its pool: pool?, tokens_used?, news?
function limits.close(request)
  for _, news in ipairs(request.news or {}) do limits.tell(request.id, news) end
  if request.pool then limits.leave(request.pool, request.id, request.tokens_used) end
end

-- Whether the limits of the settings are unknown until the first start tells them, and enough jobs are on their way to
-- one. More would only hold slots. Jobs that do much before they start do not keep the others waiting.
local function awaits_limits(pool)
  if pool.known or not pool.dispatched_at or clock.now > pool.dispatched_at + tuning.UNKNOWN_S then return false end
  return permits.unstarted(pool) >= tuning.WINDOW
end

-- Returns whether a job may be dispatched to a pool: it is open, or soon is, and its row is short. And whether jobs
-- should rather use another endpoint: the pool is paused, or shut for a while, or its server is down.
function limits.may_dispatch(name)
  local pool, is_paused = pools.read(name), endpoints.is_paused(name)
  numbers.settle(pool, learning.measured(pool))
  local is_awaited = clock.now < (pool.asks_tat or 0) + tuning.ASKED_S  -- the next permit is for a job with a slot
  local may = permits.are_free(pool, is_awaited and 2 or 1) and not is_paused and not awaits_limits(pool)
  for _, field in ipairs({'shut_until', 'requests_tat', 'tokens_tat', 'dispatch_tat'}) do
    may = may and (pool[field] or 0) < clock.now + tuning.LOOKAHEAD_S
  end
  pools.write(pool)
  local is_shut = (pool.shut_until or 0) > clock.now + tuning.OUT_S
  return may, is_paused or is_shut or (pool.down_until or 0) > clock.now
end

-- Notes that a job is dispatched to a pool.
function limits.dispatched(name, id)
  local pool = pools.read(name)
  permits.give(pool, id)
  if not pool.known then pool.dispatched_at = pool.dispatched_at or clock.now end
  local costs = rows.costs(pool, pool.tokens_used or pool.tokens_estimated or 0)
  local cost_s = math.max(costs.requests or 0, costs.tokens or 0)
  if cost_s > 0 then pool.dispatch_tat = math.max(pool.dispatch_tat or 0, clock.now) + cost_s * tuning.DISPATCH end
  pools.write(pool)
end
