-- Moves waiting jobs of a remote batch into new remote batches, some at a time; the last call ends the remote batch.
-- request: name, new (a list of name, remote_batch (JSON), jobs (a list of ids)), is_last, leftovers (a list of JSON)
-- reply: replaced | gone: the remote batch has ended
-- include: clock

if redis.call('HEXISTS', keys.remote_batches, request.name) == 0 then return {'gone'} end
for _, new in ipairs(request.new) do
  redis.call('HSET', keys.remote_batches, new.name, new.remote_batch)
  for _, id in ipairs(new.jobs) do
    redis.call('SREM', keys.remote_batch(request.name), id)
    if redis.call('HGET', keys.record(id), 'remote_batch') == request.name then
      redis.call('HSET', keys.record(id), 'remote_batch', new.name)
      redis.call('SADD', keys.remote_batch(new.name), id)
    end
  end
end
if not request.is_last then return {'replaced'} end
redis.call('HDEL', keys.remote_batches, request.name)
redis.call('DEL', keys.remote_batch(request.name))
for _, leftover in ipairs(request.leftovers) do redis.call('ZADD', keys.leftovers, clock.now, leftover) end
return {'replaced'}
