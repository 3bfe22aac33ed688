-- Makes the stream of a job's changes of state, for a caller that waits for the job or follows it. It begins with the
-- changes that the record tells, and expires soon unless this is repeated.
-- request: id
-- reply: watched, the id of the last entry | missing
-- include: clock

local WATCHED_S = 60  -- callers repeat this every few seconds; they may lose the connection for a while

local stream = keys.events(request.id)
local state, created_at, started_at = unpack(
  redis.call('HMGET', keys.record(request.id), 'state', 'created_at', 'started_at')
)
if not state then return {'missing'} end

local count, latest_ms = 0, 0
local function add(at, to)
  count = count + 1
  local at_s = tonumber(at or '') or clock.now
  if not (at_s > 0 and at_s < clock.now) then at_s = clock.now end  -- a damaged time may be any number
  latest_ms = math.max(latest_ms, math.floor(at_s * 1000))
  redis.call('XADD', stream, string.format('%.0f-%d', latest_ms, count), 'state', to)
end

if redis.call('EXISTS', stream) == 0 then
  add(created_at, 'queued')
  if started_at then add(started_at, 'running') end
  if state ~= (started_at and 'running' or 'queued') then
    add(redis.call('ZSCORE', keys.jobs(state), request.id), state)
  end
end
redis.call('EXPIRE', stream, WATCHED_S)
return {'watched', redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1][1]}
