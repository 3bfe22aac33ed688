-- Callbacks that are to be sent. The step that ends a job or a batch adds the delivery; workers send it later.
-- include: clock
local callbacks = {}

-- Adds a delivery, due now. `after`: the delivery that must not be pending any more when this one is sent, or nil.
local function add(delivery, receiver, event, kind, subject, after)
  redis.call(
    'HSET', keys.callback(delivery), 'receiver', receiver, 'event', event, 'kind', kind, 'subject', subject,
    'created_at', clock.text, 'attempts', 0, 'after', after or ''
  )
  if after and redis.call('EXISTS', keys.callback(after)) == 1 then
    redis.call('HSET', keys.callback(after), 'before', delivery)
  end
  redis.call('ZADD', keys.callbacks('pending'), clock.now, delivery)
end

-- A job that is redriven ends again; the number in the id tells the ends apart and orders them.
function callbacks.add_for_job(id, state)
  local receiver = redis.call('HGET', keys.record(id), 'callback')
  if not receiver then return end
  local ends = redis.pcall('HINCRBY', keys.record(id), 'callbacks', 1)
  if type(ends) ~= 'number' then ends = clock.text end  -- a damaged number must not prevent the end
  local after = type(ends) == 'number' and ends > 1 and 'msg_' .. id .. '_' .. (ends - 1) or nil
  add('msg_' .. id .. '_' .. ends, receiver, 'job.' .. state, 'job', id, after)
end

-- A batch has one callback each time that a receiver is set. The time keeps the id unique when its name is used again.
function callbacks.add_for_batch(batch)
  local receiver = redis.call('HGET', keys.batch(batch), 'callback')
  if not receiver then return end
  redis.call('HDEL', keys.batch(batch), 'callback')
  local delivery = 'msg_batch_' .. redis.sha1hex(batch .. '/' .. clock.text)
  add(delivery, receiver, 'batch.ended', 'batch', batch)
end

-- Makes the delivery due that had to wait for this one.
function callbacks.let_follow(delivery)
  local following = redis.call('HGET', keys.callback(delivery), 'before')
  if following then redis.call('ZADD', keys.callbacks('pending'), 'XX', clock.now, following) end
end

-- Moves a delivery from one state to another, by the time `at`.
function callbacks.move(delivery, from, to, at)
  redis.call('ZREM', keys.callbacks(from), delivery)
  redis.call('ZADD', keys.callbacks(to), at, delivery)
end
