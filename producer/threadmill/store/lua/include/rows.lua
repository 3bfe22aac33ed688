-- include: clock, pools, tuning
local rows = {}

-- What a start takes from each limit, as seconds by which the next one comes later.
function rows.costs(pool, tokens)
  local requests, token_rate = pools.request_rate(pool), pools.token_rate(pool)
  return {requests = requests and 1 / requests, tokens = token_rate and tokens / token_rate}
end

-- Takes a place in the row, at a time.
function rows.take(pool, costs, at)
  for kind, cost_s in pairs(costs) do
    pool[kind .. '_tat'] = math.max(pool[kind .. '_tat'] or 0, at - tuning.BURST_S) + cost_s
  end
end

-- Notes a start. Its place was at a time, now or just before.
function rows.spend(pool, costs, at)
  for kind, cost_s in pairs(costs) do
    pool[kind .. '_spent'] = math.max(pool[kind .. '_spent'] or 0, at - tuning.BURST_S) + cost_s
  end
end

-- Voids all tickets: what remains in the row are starts that were made.
function rows.clear(pool, from)
  pool.epoch = (pool.epoch or 0) + 1
  pool.requests_tat = math.max(pool.requests_spent or 0, from)
  pool.tokens_tat = math.max(pool.tokens_spent or 0, from)
end

-- Returns when the pool opens, and why it is not open now. A probe without a reply counts as accepted.
function rows.opening(pool)
  local reason = 'the server: ' .. (pool.shut_reason or '')
  if (pool.shut_until or 0) > clock.now then return pool.shut_until, reason end
  if (pool.probe or 0) > clock.now then return clock.now + tuning.ASK_PROBE_S, reason end
  if (pool.probe or 0) > 0 then pool.probe = nil end
  return clock.now
end

-- Returns the time of the next place, the limit that it waits for, and whether it waits for the server to open.
function rows.next(pool, costs)
  local at, reason = rows.opening(pool)
  local is_shut = at > clock.now
  for kind in pairs(costs) do
    local tat = pool[kind .. '_tat'] or 0
    if tat > at then
      at, is_shut = tat, false
      reason = kind .. (pool['set_' .. kind .. '_per_minute'] and '_per_minute' or ' that the server allows')
    end
  end
  return at, reason, is_shut
end

-- Returns the time of a ticket's place; nil if the ticket is void: the row was cleared, or the job comes too late.
function rows.place(pool, ticket)
  local epoch, at = string.match(ticket or '', '^(%d+) ([%d.]+)$')
  if tonumber(epoch or '') ~= (pool.epoch or 0) or clock.now > tonumber(at) + tuning.LATE_S then return nil end
  return tonumber(at)
end

-- Returns when a start that is refused asks again, and its ticket. It gets a place in the row if that is near enough;
-- '' is no ticket.
function rows.join(pool, costs, at)
  local longest_s = tuning.RESERVE_S
  if pool.rate then longest_s = math.max(tuning.RESERVE_LEARNING_S, tuning.RESERVE_STARTS / pool.rate) end
  if at > clock.now + longest_s then return clock.now + longest_s * (0.5 + pools.share(pool) / 2), '' end
  rows.take(pool, costs, at)
  return at, string.format('%d %.6f', pool.epoch or 0, at)
end
