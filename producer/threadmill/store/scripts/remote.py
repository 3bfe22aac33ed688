"""The Lua scripts for remote objects: objects that a batch shares, kept threads, leftovers.

Like those in jobs.py, they are atomic and can be repeated. FINISH, in jobs.py, handles the objects of a job that ends.
"""

from threadmill.store.scripts.jobs import PRELUDE

#: batch, name, job id, seconds -> ['lent', leftover JSON], ['make'] if the job has to make it within that time, or
#: ['busy'] while another job makes it
BORROW = (
    PRELUDE
    + """
local shared, name, id = key('batch', ARGV[2], 'shared'), ARGV[3], ARGV[4]
local known = redis.call('HGET', shared, name)
local thing = known and decode(known) or {}
if thing.id then return {'lent', known} end
if thing.maker and thing.maker ~= id and thing.till > now then return {'busy'} end
if not has_open_jobs(ARGV[2]) then return {'make'} end
if known and not decode(known) then redis.call('ZADD', key('leftovers'), stamp, known) end  -- damaged: keep it there
redis.call('HSET', shared, name, cjson.encode({maker = id, till = now + tonumber(ARGV[5])}))
return {'make'}
"""
)

#: batch, name, leftover JSON -> 1, or 0 if there is one already or the batch has no open job to use it
LEND = (
    PRELUDE
    + """
local shared, name = key('batch', ARGV[2], 'shared'), ARGV[3]
if not has_open_jobs(ARGV[2]) then return 0 end
local known = redis.call('HGET', shared, name)
local thing = known and decode(known)
if thing and thing.id then return known == ARGV[4] and 1 or 0 end
redis.call('HSET', shared, name, ARGV[4])
return 1
"""
)

#: batch, name, job id: the job will not make it
GIVE_BACK = (
    PRELUDE
    + """
local shared, name = key('batch', ARGV[2], 'shared'), ARGV[3]
local known = redis.call('HGET', shared, name)
local thing = known and decode(known)
if thing and thing.maker == ARGV[4] then redis.call('HDEL', shared, name) end
return 1
"""
)

#: ENDPOINT/THREAD, its entry as read, '1' to ignore open jobs, leftovers as JSON...
#: -> ['forgotten'], ['changed'] if the entry changed since, or ['busy', ids of its open jobs...]
FORGET_THREAD = (
    PRELUDE
    + """
local field, entry, force = ARGV[2], ARGV[3], ARGV[4] == '1'
local known = redis.call('HGET', key('threads'), field)
if not known then return {'forgotten'} end
if known ~= entry then return {'changed'} end
local reply = {'busy'}
for _, id in ipairs(redis.call('ZRANGE', key('turns', field), 0, -1)) do
  local state = redis.call('HGET', key('job', id), 'state')
  if state and not is_terminal(state) then table.insert(reply, id) end
end
if #reply > 1 and not force then return reply end
redis.call('HDEL', key('threads'), field)
redis.call('DEL', key('transcript', field))
for i = 5, #ARGV do redis.call('ZADD', key('leftovers'), stamp, ARGV[i]) end
return {'forgotten'}
"""
)

#: seconds -> a leftover that is due, or nil; no other caller gets it for that time
TAKE_LEFTOVER = (
    PRELUDE
    + """
local due = redis.call('ZRANGEBYSCORE', key('leftovers'), '-inf', stamp, 'LIMIT', 0, 1)[1]
if due then redis.call('ZADD', key('leftovers'), 'XX', string.format('%.6f', now + tonumber(ARGV[2])), due) end
return due
"""
)

#: leftover, first delay in seconds, limit of attempts, ttl in seconds -> number of failed attempts
POSTPONE_LEFTOVER = (
    PRELUDE
    + """
local tries = redis.call('HINCRBY', key('leftovers', 'tries'), ARGV[2], 1)
local due = 'inf'
if tries < tonumber(ARGV[4]) then due = string.format('%.6f', now + tonumber(ARGV[3]) * 2 ^ (tries - 1)) end
redis.call('ZADD', key('leftovers'), 'XX', due, ARGV[2])
redis.call('EXPIRE', key('leftovers'), ARGV[5])
redis.call('EXPIRE', key('leftovers', 'tries'), ARGV[5])
return tries
"""
)
