-- Moves the waiting jobs of a remote batch into new remote batches.
-- request: name, new (a list of name, remote_batch (JSON), jobs (a list of ids)), leftovers (a list of JSON)
-- reply: replaced | gone: the remote batch has ended
-- include: clock

if redis.call('HDEL', keys.remote_batches, request.name) == 0 then return {'gone'} end
redis.call('DEL', keys.remote_batch(request.name))
for _, new in ipairs(request.new) do
  redis.call('HSET', keys.remote_batches, new.name, new.remote_batch)
  for _, id in ipairs(new.jobs) do
    if redis.call('HGET', keys.record(id), 'remote_batch') == request.name then
      redis.call('HSET', keys.record(id), 'remote_batch', new.name)
      redis.call('SADD', keys.remote_batch(new.name), id)
    end
  end
end
for _, leftover in ipairs(request.leftovers) do redis.call('ZADD', keys.leftovers, clock.now, leftover) end
return {'replaced'}
