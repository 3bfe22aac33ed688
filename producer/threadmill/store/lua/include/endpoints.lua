local endpoints = {}

-- Returns the name of the endpoint of a pool.
function endpoints.name(pool)
  local name = string.gsub(string.match(pool, '^[^/@]*'), '%%(%x%x)', function(byte)
    return string.char(tonumber(byte, 16))
  end)
  return name
end

-- Returns why an operator has paused the endpoint of a pool, in words; nil if it is not paused.
function endpoints.why_paused(pool)
  local name = endpoints.name(pool)
  local reason = redis.call('HGET', keys.endpoints_paused, name)
  return reason and ('endpoint ' .. name .. ' is paused' .. (reason ~= '' and ': ' or '') .. reason) or nil
end

function endpoints.is_paused(pool)
  return endpoints.why_paused(pool) ~= nil
end
