-- include: clock, learning, tuning
local headers = {}

-- Whether a limit is per minute, as far as the time of its reset shows: a limit per day has longer ones, and a limit
-- per second or per 10 seconds has only short ones, in which more would come back than the limit allows.
local function is_per_minute(limit, used, reset_s, longest_s)
  if not reset_s or reset_s <= 0 then return true end
  if longest_s > tuning.LONG_RESET_S then return false end
  return longest_s > tuning.SHORT_RESET_S or used / reset_s * 60 <= 2 * limit
end

-- Whether the server gives back what was used bit by bit. Then something is free again long before the reset.
local function is_continuous(limit, used, reset_s)
  return math.abs(used / reset_s * 60 / limit - 1) < 0.05
end

-- Learns one limit. Returns for how long nothing is left of it, or nil.
local function learn(pool, kind, limit, remaining, reset_s)
  if not limit then return nil end
  local used, field = math.max(limit - (remaining or limit), 1), 'learned_' .. kind
  local longest_s = math.max(pool[kind .. '_reset'] or 0, reset_s or 0)
  if longest_s > 0 then pool[kind .. '_reset'] = longest_s end
  local learned = is_per_minute(limit, used, reset_s, longest_s) and limit or nil
  if learned ~= pool[field] then pool[field], pool.learned_at = learned, clock.now end
  if remaining and remaining < 1 and reset_s and reset_s > 0 then
    if not is_continuous(limit, used, reset_s) then return math.min(reset_s, tuning.LONG_RESET_S) end
  end
end

-- Learns from the headers of a reply, and shuts the pool for as long as nothing is left of a limit.
function headers.learn(pool, news)
  if pool.learn == 0 then return end
  local requests_s = learn(pool, 'requests', news.requests_limit, news.requests_remaining, news.requests_reset_s)
  local tokens_s = learn(pool, 'tokens', news.tokens_limit, news.tokens_remaining, news.tokens_reset_s)
  local for_s = math.max(requests_s or 0, tokens_s or 0)
  if for_s == 0 or news.kind == 'refused' or news.sent_at < (pool.shut_at or 0) then return end
  learning.shut(pool, for_s, requests_s and 'no requests are left' or 'no tokens are left')
end
