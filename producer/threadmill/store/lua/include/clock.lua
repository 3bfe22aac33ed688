-- The time by Redis' clock, in seconds since 1970.
local time = redis.call('TIME')
local clock = {now = tonumber(time[1]) + tonumber(time[2]) / 1000000}
clock.text = string.format('%.6f', clock.now)  -- for fields of records
