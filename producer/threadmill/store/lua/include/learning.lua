-- include: clock, numbers, permits, pools, rows, tuning
local learning = {}

-- Returns the rate of accepted starts, per second: an average that forgets within seconds.
function learning.measured(pool)
  local age_s = clock.now - (pool.accepted_at or clock.now)
  return (pool.accepted_rate or 0) * math.exp(-age_s / tuning.MEASURED_S)
end

local function measure(pool)
  pool.accepted_rate = learning.measured(pool) + 1 / tuning.MEASURED_S
  pool.accepted_at = clock.now
end

-- The rate that CUBIC allows now: it returns fast to that of the last refusal, stays near it, and then looks for more.
local function cubic_rate(pool)
  local plateau_s = math.max(tuning.PLATEAU_S, tuning.PLATEAU_STARTS / pool.w_max)
  local age = (clock.now - pool.t_max) / plateau_s
  return pool.w_max * (1 + (1 - tuning.BETA) * (age - 1) ^ 3)
end

-- A rate that is not used says nothing about a higher one, and stays.
local function grow(pool)
  local rate = pool.mode == 'slow' and pool.rate + tuning.GROWTH or cubic_rate(pool)
  local most = math.max(pool.rate, tuning.HEADROOM * learning.measured(pool))
  pool.rate = math.max(tuning.LOWEST_RATE, math.min(rate, most))
  if pool.learned_requests and pool.rate >= pool.learned_requests * tuning.SHARE / 60 then
    pools.forget_rate(pool)
  end
end

-- The first refusal ends the window and begins the slow start; each other one ends the slow start.
local function cut(pool, accepted_before)
  local measured = learning.measured(pool)
  local trusted = accepted_before >= tuning.ACCEPTED_RARELY and 1 or tuning.TRUSTED_SHARE
  local rate = pools.request_rate(pool)
  if not rate then
    pool.mode, pool.rate = 'slow', math.max(tuning.FIRST_RATE, measured / 2)
  else
    pool.w_max = math.max(tuning.LOWEST_RATE, math.min(rate, math.max(measured, trusted * rate)))
    pool.mode, pool.t_max = 'cubic', clock.now
    pool.rate = math.max(tuning.LOWEST_RATE, pool.w_max * tuning.BETA)
  end
end

-- Whether the server also accepts calls at this rate: it did so before the last cut, and does since then.
local function may_be_chance(pool)
  local is_below = pool.mode == 'cubic' and pool.rate < tuning.BELOW * pool.w_max
  return is_below and (pool.accepted_in_a_row or 0) >= tuning.ACCEPTED_BELOW
end

function learning.shut(pool, for_s, reason)
  pool.shut_at, pool.shut_until = clock.now, clock.now + math.min(for_s, tuning.LONGEST_SHUT_S)
  pool.shut_reason = reason
  rows.clear(pool, pool.shut_until)
end

local function pause_s(pool)
  local first = tuning.PAUSE_S
  if pool.mode == 'cubic' then first = tuning.CUT_PAUSE / pool.rate end
  local pause = math.min(pool.pause_s or first, tuning.LONGEST_PAUSE_S)
  pool.pause_s = 2 * pause
  return pause
end

-- One refusal speaks for all calls that were sent before it was known.
function learning.refused(pool, news)
  pool.refused = (pool.refused or 0) + 1
  -- A server that names a time limits the rate.
  if not news.delay_s and numbers.explain(pool, news.sent_at, permits.started) then return end
  if news.sent_at < (pool.shut_at or 0) then
    if news.delay_s and pool.shut_until > clock.now then
      pool.shut_until = math.max(pool.shut_until, clock.now + math.min(news.delay_s, tuning.LONGEST_SHUT_S))
    end
    return
  end
  local again = pool.probe ~= nil or pool.pause_s ~= nil  -- nothing was accepted since the last refusal
  local is_chance, accepted_before = may_be_chance(pool), pool.accepted_in_a_row or 0
  pool.accepted_in_a_row = nil
  if not again and not is_chance and pools.is_learning(pool) and news.sent_at >= (pool.learned_at or 0) then
    cut(pool, accepted_before)
  end
  local for_s = news.delay_s or pause_s(pool)
  if again or news.delay_s or pool.mode ~= 'cubic' then pool.probe = 0 end  -- needed, but not out yet
  learning.shut(pool, for_s, news.reason or 'it refused a call')
end

-- A call that the server does not count with the starts was refused for a time. This says nothing about their rate.
function learning.told_to_wait(pool, news)
  pool.refused = (pool.refused or 0) + 1
  if news.sent_at >= (pool.shut_at or 0) then learning.shut(pool, news.delay_s, news.reason or 'it refused a call') end
end

function learning.accepted(pool, news)
  measure(pool)
  if news.sent_at < (pool.shut_at or 0) then return end
  pool.probe, pool.pause_s, pool.down_until = nil, nil, nil
  if pool.mode == 'cubic' then pool.accepted_in_a_row = (pool.accepted_in_a_row or 0) + 1 end
  if numbers.are_learned(pool) then
    numbers.accepted(pool, news.sent_at, learning.measured(pool), permits.given(pool))
  elseif pool.rate then
    grow(pool)
  elseif not pools.request_rate(pool) then
    pool.window = (pool.window or tuning.WINDOW) + 1
  end
end
