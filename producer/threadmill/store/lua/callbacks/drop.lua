-- Deletes a delivery in any state. A worker that sends it now finishes its attempt.
-- request: id
-- reply: dropped | missing
-- include: callbacks

local id = request.id
for _, state in ipairs({'pending', 'delivered', 'dead'}) do redis.call('ZREM', keys.callbacks(state), id) end
callbacks.let_follow(id)
return {redis.call('DEL', keys.callback(id)) == 1 and 'dropped' or 'missing'}
