-- Takes a delivery that is due; no other worker gets it for a time. Counts the attempt, which settles it.
-- request: hold_s, busy (hosts that get no more from this worker now: authorities of URLs)
-- reply: taken, id, fields and values of the delivery | none
-- include: clock

local MOST_AT_ONCE = 100  -- how many deliveries one call looks at
local BUSY_S = 2  -- for how long deliveries to busy hosts make way, in seconds

local busy = {}
for _, host in ipairs(request.busy) do busy[host] = true end

-- Whether the host of a delivery is busy. A damaged receiver is left to the worker.
local function is_busy(delivery)
  if #request.busy == 0 then return false end
  local receiver = redis.call('HGET', keys.callback(delivery), 'receiver') or ''
  local is_json, parsed = pcall(cjson.decode, receiver)
  local url = is_json and type(parsed) == 'table' and parsed.url
  return type(url) == 'string' and busy[string.match(url, '^%a+://([^/?]*)') or ''] or false
end

local pending = keys.callbacks('pending')
local due = redis.call('ZRANGEBYSCORE', pending, '-inf', clock.now, 'LIMIT', 0, MOST_AT_ONCE)
local held = {}  -- those of busy hosts
for _, delivery in ipairs(due) do
  local after = redis.call('HGET', keys.callback(delivery), 'after')
  local awaited = after and after ~= '' and redis.call('ZSCORE', pending, after)
  if not after then
    redis.call('ZREM', pending, delivery)  -- the hash is gone
  elseif awaited then
    redis.call('ZADD', pending, 'XX', math.max(tonumber(awaited), clock.now) + 1, delivery)
  elseif is_busy(delivery) then
    held[#held + 1] = delivery
  else
    redis.pcall('HINCRBY', keys.callback(delivery), 'attempts', 1)
    redis.call('ZADD', pending, 'XX', clock.now + request.hold_s, delivery)
    return {'taken', delivery, unpack(redis.call('HGETALL', keys.callback(delivery)))}
  end
end
if #due == MOST_AT_ONCE then  -- others are due behind these
  for _, delivery in ipairs(held) do redis.call('ZADD', pending, 'XX', clock.now + BUSY_S, delivery) end
end
return {'none'}
