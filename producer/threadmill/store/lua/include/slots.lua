-- include: clock
local slots = {}

local COUNTS_S = 5  -- how long a worker's number of free slots counts; each heartbeat renews it

local function write(worker, free, counts_until)
  redis.call('HSET', keys.slots, worker, string.format('%d %.3f', free, counts_until))
end

local function read(entry)
  local free, counts_until = string.match(entry or '', '^(-?%d+) (%d+%.%d+)$')
  return tonumber(free), tonumber(counts_until)
end

-- Stores how many more jobs a worker can run.
function slots.set(worker, free)
  write(worker, free, clock.now + COUNTS_S)
  redis.call('EXPIRE', keys.slots, 10 * COUNTS_S)
end

-- Adds to the number of the worker that owns a lease; a worker that stops has no number.
function slots.change(owner, by)
  local worker = string.match(owner, '^(.*):%d+$')
  local free, counts_until = read(worker and redis.call('HGET', keys.slots, worker))
  if free then write(worker, free + by, counts_until) end
end

-- Returns how many more jobs all workers can run.
function slots.free()
  local sum, entries = 0, redis.call('HGETALL', keys.slots)
  for position = 1, #entries, 2 do
    local free, counts_until = read(entries[position + 1])
    if free and counts_until > clock.now then
      sum = sum + free
    else
      redis.call('HDEL', keys.slots, entries[position])
    end
  end
  return sum
end
