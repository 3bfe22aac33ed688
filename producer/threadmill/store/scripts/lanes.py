"""The Lua scripts for jobs in the batch lane, which wait without a worker for the provider's Batch API.

A waiting job stays `queued` and can be cancelled like any other. Its field `parked` has the name of its remote batch,
or '-' before it has one. Like those in jobs.py, the scripts are atomic and can be repeated.
"""

from threadmill.store.scripts.jobs import PRELUDE

#: id, owner, lane, the longest stay in seconds, its deadline or '' -> 1, or 0 if another worker has claimed the job.
#: Entering the lane does not count as an attempt.
PARK = (
    PRELUDE
    + """
local id, lane = ARGV[2], ARGV[4]
if not owned(id, ARGV[3]) then return 0 end
redis.call('HINCRBY', key('job', id), 'attempts', -1)
redis.call('HSET', key('job', id), 'parked', '-')
redis.call('HDEL', key('job', id), 'started_at')
redis.call('HSETNX', key('job', id), 'lane_since', stamp)
local due = tonumber(redis.call('HGET', key('job', id), 'lane_since')) + tonumber(ARGV[5])
if ARGV[6] ~= '' then due = math.min(due, tonumber(ARGV[6])) end
redis.call('ZADD', key('lane_deadlines'), string.format('%.6f', due), id)
drop_lease(id)
if redis.call('HGET', key('job', id), 'state') == 'running' then move(id, 'running', 'queued') end
redis.call('SADD', key('lanes'), lane)
redis.call('ZADD', key('lane', lane), stamp, id)
return 1
"""
)

#: lane, limit, seconds, name, remote batch JSON -> how many jobs entered the remote batch: up to `limit`, once the lane
#: has so many or its first job has waited for so many seconds
PACK = (
    PRELUDE
    + """
local lane, most, name = key('lane', ARGV[2]), tonumber(ARGV[3]), ARGV[5]
local first = redis.call('ZRANGE', lane, 0, 0, 'WITHSCORES')
if not first[1] then
  redis.call('SREM', key('lanes'), ARGV[2])
  return 0
end
if redis.call('ZCARD', lane) < most and tonumber(first[2]) + tonumber(ARGV[4]) > now then return 0 end
local packed = 0
for _, id in ipairs(redis.call('ZRANGE', lane, 0, most - 1)) do
  local stays = is_newer(id)  -- left to a newer worker
  if not stays then redis.call('ZREM', lane, id) end
  if not stays and redis.call('HGET', key('job', id), 'parked') == '-' then
    redis.call('HSET', key('job', id), 'parked', name)
    redis.call('SADD', key('remote_batch', name), id)
    packed = packed + 1
  end
end
if packed > 0 then redis.call('HSET', key('remote_batches'), name, ARGV[6]) end
return packed
"""
)

#: id, name, progress JSON -> 1, or 0 if the job does not wait in that remote batch: it has ended or continues already
UNPARK = (
    PRELUDE
    + """
local id = ARGV[2]
redis.call('SREM', key('remote_batch', ARGV[3]), id)
if redis.call('HGET', key('job', id), 'parked') ~= ARGV[3] then return 0 end
redis.call('HDEL', key('job', id), 'parked')
redis.call('ZREM', key('lane_deadlines'), id)
redis.call('HSET', key('job', id), 'progress', ARGV[4])
stamp_format(id)
redis.call('ZADD', key('jobs', 'queued'), stamp, id)
return 1
"""
)

#: name, [{name, entry: remote batch JSON, jobs: [ids]}] as JSON, leftovers as JSON... -> 1, or 0 if the remote batch
#: has ended. Moves its waiting jobs to the new ones.
REPLACE = (
    PRELUDE
    + """
local old = ARGV[2]
if redis.call('HDEL', key('remote_batches'), old) == 0 then return 0 end
redis.call('DEL', key('remote_batch', old))
for _, new in ipairs(cjson.decode(ARGV[3])) do
  redis.call('HSET', key('remote_batches'), new.name, new.entry)
  for _, id in ipairs(new.jobs) do
    if redis.call('HGET', key('job', id), 'parked') == old then
      redis.call('HSET', key('job', id), 'parked', new.name)
      redis.call('SADD', key('remote_batch', new.name), id)
    end
  end
end
for i = 4, #ARGV do redis.call('ZADD', key('leftovers'), stamp, ARGV[i]) end
return 1
"""
)

#: limit -> ids of jobs that have waited in the batch lane for too long
OVERDUE = (
    PRELUDE
    + """
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('lane_deadlines'), '-inf', stamp, 'LIMIT', 0, ARGV[2])) do
  if redis.call('HGET', key('job', id), 'parked') then
    table.insert(found, id)
  else
    redis.call('ZREM', key('lane_deadlines'), id)
  end
end
return found
"""
)
