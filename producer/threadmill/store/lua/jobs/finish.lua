-- Ends a job: its result, state and counters, Celery's copy of the result, and what outlives the job.
-- request: id, owner? (none: ends a queued job), state, result (packed), ttl_s, longest_ttl_s (of any job),
--   celery_key?, celery_result? (JSON: what Celery stores under this key), failure? (its kind), batch_counts,
--   hour_counts, batch_stats (what is added to fields of the batch, the hour and the statistics of the batch),
--   leftovers (a list of JSON), stored_job? (replaces the job in the record), kept_thread? (JSON), transcript? (JSON),
--   thread_ttl_s (of a local thread), pool?, tokens_used?, news?, timeline? (packed)
-- reply: finished | missing | lost: another worker has claimed the job | the state that forbids it
-- include: clock, json, jobs, batches, failures, stats
-- include: tenants, turns, threads, slots, flows, queue, limits, callbacks, webhooks

local id, ttl_s, record = request.id, request.ttl_s, keys.record(request.id)
local from = jobs.state(id)
local owner, idempotency, batch, tenant, turn, pool = unpack(
  redis.call('HMGET', record, 'owner', 'key', 'batch', 'tenant', 'turn', 'pool')
)

local function why_not()
  if not from then return 'missing' end
  if jobs.has_ended(from) then return from end
  if not request.owner and from == 'running' then return from end
  if request.owner and request.owner ~= owner then return 'lost' end
end

local function leave_queue()
  if request.owner then slots.change(request.owner, 1) end
  if from == 'queued' then queue.remove(id) end
  if pool and not request.pool then limits.leave(pool, id) end
  limits.close(request)
end

local function store_result()
  jobs.set(request, 'result', request.result, 'finished_at', clock.text)
  if request.stored_job then redis.call('HSET', record, 'job', request.stored_job) end
  jobs.set_format(id)
  redis.call(
    'HDEL', record, 'progress', 'calls', 'cancel_requested', 'remote_batch', 'lane_since', 'interruptions',
    'own_process', 'not_before', 'limited_from'
  )
  redis.call('ZREM', keys.lane_deadlines, id)
  webhooks.forget(id)
  jobs.drop_lease(id)
  jobs.change_state(id, from, request.state)
end

local function set_expiry()
  for _, key in ipairs({record, keys.live(id)}) do redis.call('EXPIRE', key, ttl_s) end
  redis.call('EXPIRE', keys.events(id), math.min(ttl_s, 60))  -- if somebody watches, or an older version made it
  if idempotency then redis.call('EXPIRE', keys.idempotency(idempotency), ttl_s) end
  jobs.forget_expired(keys.jobs(request.state), ttl_s)
  if tenant then tenants.forget(tenant, request.longest_ttl_s) end
end

local function keep_thread()
  local kept = request.kept_thread and cjson.decode(request.kept_thread)
  return threads.keep(id, kept, from == 'running' and turn or nil, request.transcript, request.thread_ttl_s)
end

-- A run comes first: it is cancelled before its objects are deleted.
local function add_leftovers()
  local due = clock.now
  for _, leftover in ipairs(request.leftovers) do
    redis.call('ZADD', keys.leftovers, due, leftover)
    if cjson.decode(leftover).kind == 'run' then due = clock.now + 5 end
  end
end

-- After the last job, shared objects become leftovers, and the batch is kept as long as any of its jobs.
local function close_batch()
  for _, key in ipairs(batches.keys(batch)) do redis.call('EXPIRE', key, request.longest_ttl_s) end
  for _, shared in ipairs(redis.call('HVALS', keys.batch_shared(batch))) do
    local made = json.read(shared)
    if not made or made.id then redis.call('ZADD', keys.leftovers, clock.now, shared) end
  end
  redis.call('DEL', keys.batch_shared(batch))
  redis.call('ZREM', keys.batches_open, batch)
  callbacks.add_for_batch(batch)
end

-- Counts what the job spent and why it failed. pcall: a number that Redis cannot hold must not prevent the end.
local function count_in_batch()
  for field, number in pairs(request.batch_counts) do
    redis.pcall('HINCRBY', keys.batch(batch), field, number)
    if string.sub(field, 1, 7) == 'failed:' then redis.call('HSET', record, 'counted', field) end
  end
  stats.count_in_batch(batch, request.state, request.batch_stats)
  redis.call('XADD', keys.batch_done(batch), '*', 'job', id, 'state', request.state)
  if not batches.has_open_jobs(batch) then close_batch() end
end

local refusal = why_not()
if refusal then return {refusal} end
flows.note_end(id)
leave_queue()
store_result()
set_expiry()
if not keep_thread() then add_leftovers() end
if turn then
  redis.call('ZREM', keys.turns(turn), id)
  local following, state = turns.first(turn)
  if state == 'queued' then queue.add(following) end
end
callbacks.add_for_job(id, request.state)
stats.count(request.hour_counts)
if request.failure then failures.add(id, request.failure, batch, ttl_s) end
if batch then count_in_batch() end
if redis.call('EXISTS', keys.jobs('queued'), keys.jobs('running')) == 0 then
  redis.call('EXPIRE', keys.batches, request.longest_ttl_s)  -- otherwise a batch may be open
end
if request.celery_result then
  redis.call('SET', request.celery_key, request.celery_result, 'EX', ttl_s)
  redis.call('PUBLISH', request.celery_key, request.celery_result)
end
queue.dispatch()
return {'finished'}
