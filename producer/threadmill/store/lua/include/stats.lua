-- Numbers of jobs that ended: of all jobs in each hour, and of each batch. store/records/stats.py names the fields.
-- include: clock
local stats = {}

local KEEP_HOURS_S = 1209600

-- A batch is counted by the minute; later by ten minutes, an hour or a day, so that its hash stays small. From its
-- first end on, in seconds: until when, and how long a period is.
local PERIODS = {{21600, 60}, {259200, 600}, {5184000, 3600}, {math.huge, 86400}}

-- pcall: a damaged value must not prevent the end of a job.
local function add(key, counts)
  local first
  for field, number in pairs(counts) do
    local sum = redis.pcall('HINCRBY', key, field, number)
    if string.sub(field, 1, 6) == 'ended:' then first = sum == 1 end
  end
  return first
end

-- Counts the end of a job among all jobs of this hour.
function stats.count(counts)
  local hour = keys.stats(math.floor(clock.now / 3600))
  if add(hour, counts) then redis.call('EXPIRE', hour, KEEP_HOURS_S) end
end

-- Counts the end of a job of a batch.
function stats.count_in_batch(batch, state, counts)
  local key, since = keys.batch_stats(batch), clock.now
  local first = redis.pcall('HGET', key, 'since')
  if first then since = tonumber(first) or since else redis.call('HSET', key, 'since', clock.text) end
  for _, period in ipairs(PERIODS) do
    local until_s, length_s = unpack(period)
    if clock.now - since < until_s then
      local start = math.floor(clock.now / length_s) * length_s
      redis.pcall('HINCRBY', key, string.format('ended:%d:%d:%s', start, length_s, state), 1)
      break
    end
  end
  add(key, counts)
end
