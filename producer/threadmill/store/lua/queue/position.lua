-- Finds out where a queued job waits.
-- request: id
-- reply: dispatched, since | delayed, until | turn, id of the job before it | remote_batch | lost: in none of these
--   places | none: it is not queued | ready, flow, number of jobs before it in its flow, since when a limit holds the
--   flow back
-- include: jobs, turns, flows

local id = request.id
if jobs.state(id) ~= 'queued' then return {'none'} end
local remote_batch, turn = unpack(redis.call('HMGET', keys.record(id), 'remote_batch', 'turn'))
local sent_at, start_at = redis.call('ZSCORE', keys.dispatched, id), redis.call('ZSCORE', keys.delayed, id)
local flow = flows.of(id)
local before, first = redis.call('ZRANK', keys.flow(flow), id), turn and turns.first(turn)
if remote_batch then return {'remote_batch'} end
if sent_at then return {'dispatched', sent_at} end
if start_at then return {'delayed', start_at} end
if before then
  local since = string.match(redis.call('HGET', keys.limited, flow) or '', ' (.*)$')
  return {'ready', flow, before, since or ''}
end
return first and first ~= id and {'turn', first} or {'lost'}
