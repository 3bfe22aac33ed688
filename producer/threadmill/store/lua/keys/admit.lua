-- Admits a request with an API key, or says when to come again. A caller that has paused may make all requests of a
-- minute at once, and then one each time that its share of the minute has passed (GCRA).
-- request: id (of the key), per_minute
-- reply: admitted | refused, requests that are left now, and, as text, seconds until all are left and until one is
-- include: clock

local MINUTE_S, TOLERANCE = 60, 0.000001  -- stored times are rounded

local key, share_s = keys.api_key_requests(request.id), MINUTE_S / request.per_minute
local stored = tonumber(redis.call('GET', key) or '') or 0
local full_at = clock.now
if stored > clock.now then full_at = math.min(stored, clock.now + MINUTE_S) end  -- Redis' clock may be set back
local wait_s = full_at + share_s - MINUTE_S - clock.now
local is_admitted = wait_s <= TOLERANCE
if is_admitted then
  full_at = full_at + share_s
  redis.call('SET', key, string.format('%.6f', full_at), 'PX', math.ceil((full_at - clock.now) * 1000))
end
local full_s = full_at - clock.now
local left = math.floor(math.max(0, MINUTE_S - full_s) / share_s + TOLERANCE)
return {
  is_admitted and 'admitted' or 'refused', left, string.format('%.6f', full_s),
  string.format('%.6f', math.max(0, full_s + share_s - MINUTE_S))
}
