-- include: clock, pools, tuning
--
-- How many jobs a server takes at a time, learned from refusals that name no time. The first one is a guess: the
-- server takes as many as had started, and limits no rate. Tests are starts above the guess. If they are accepted, or
-- if others below it are refused, the server limits the rate instead. If they are refused, the guess is confirmed; from
-- then on the number follows what the server takes.
local numbers = {}

-- Whether a number is learned, and applies: it gives way to a rate and to limits that are set.
function numbers.are_learned(pool)
  return pool.number ~= nil and not pool.rate and not pool.learned_requests
end

-- Returns how many jobs may have a permit now: the limit of the settings, or the learned number, or nil.
function numbers.most(pool)
  if pool.set_concurrent or not numbers.are_learned(pool) then return pool.set_concurrent end
  if not pool.guessed then return math.floor(pool.number + 0.5) end
  local pause_s = math.min(tuning.PAUSE_S * 2 ^ (pool.tests or 0), tuning.LONGEST_PAUSE_S)
  if clock.now < pool.t_max + pause_s then return pool.number end
  return pool.number + math.max(1, pool.number - pool.guessed)
end

function numbers.forget(pool)
  pool.number, pool.guessed, pool.tested, pool.tested_at = nil, nil, nil, nil
end

-- The starts above the number were accepted. Far above a guess, the server limits the rate: the slow start begins.
local function pass_test(pool, measured)
  pool.number, pool.tested, pool.tested_at, pool.tests = pool.tested, nil, nil, nil
  if pool.number > tuning.GUESS_ABOVE * pool.guessed + 0.5 then
    numbers.forget(pool)
    pool.mode, pool.rate = 'slow', math.max(tuning.FIRST_RATE, measured / 2)
  end
end

-- A test without a reply for a while is passed: on some servers the reply comes when the job has ended.
-- measured: accepted starts per second
function numbers.settle(pool, measured)
  if not numbers.are_learned(pool) then return end
  if pool.tested_at and clock.now >= pool.tested_at + tuning.UNANSWERED_S then pass_test(pool, measured) end
end

-- Notes a start, after which so many jobs have started. It is a test if these are more than the guess.
function numbers.started(pool, started)
  if started <= pool.number then return end
  pool.tested, pool.tested_at = started, pool.tested_at or clock.now
end

local function cut_of(pool)
  return math.max(1, (1 - tuning.NUMBER_BETA) * pool.w_max)
end

-- Learns from an accepted start, as the rate does with CUBIC. The age counts starts, not seconds: runs may take hours.
function numbers.accepted(pool, sent_at, measured, jobs)
  if pool.tested_at and sent_at >= pool.tested_at then return pass_test(pool, measured) end
  if sent_at >= (pool.guessed and pool.guessed_at or pool.t_max) then
    pool.accepted_in_a_row = (pool.accepted_in_a_row or 0) + 1
  end
  if pool.guessed then return end
  local age = (pool.accepted_in_a_row or 0) / math.max(tuning.NUMBER_STARTS, pool.w_max)
  local number = pool.w_max + cut_of(pool) * (age - 1) ^ 3
  -- A number that is not used says nothing about a higher one, and stays.
  pool.number = math.max(1, math.min(number, math.max(pool.number, tuning.NUMBER_HEADROOM * jobs + 1)))
end

local function cut(pool, started)
  pool.w_max = math.max(1, math.min(pool.w_max, started))
  pool.number, pool.accepted_in_a_row = math.max(1, pool.w_max - cut_of(pool)), nil
end

local function may_guess(pool, sent_at)
  if not pools.is_learning(pool) or pool.set_concurrent or pool.learned_requests then return false end
  -- Once: starts at a steady rate are a steady number at a time, too, and would be taken for one.
  return not (pool.rate or pool.guessed_at or sent_at < (pool.shut_at or 0))
end

local function guess(pool, started)
  if started == 0 then return false end
  pool.number, pool.guessed, pool.guessed_at, pool.t_max = started, started, clock.now, clock.now
  pool.tests, pool.accepted_in_a_row, pool.probe, pool.pause_s = nil, nil, nil, nil
  return true
end

local function refuse_guess(pool, sent_at, started)
  pool.number = math.min(pool.number, math.max(1, started))
  if sent_at < pool.guessed_at then  -- it was on its way when the number was guessed
    pool.guessed = pool.number
    return true
  end
  if started < tuning.GUESS_BELOW * pool.guessed then
    numbers.forget(pool)
    return false
  end
  if sent_at < pool.t_max then return true end
  pool.tested, pool.tested_at, pool.t_max, pool.tests = nil, nil, clock.now, (pool.tests or 0) + 1
  if (pool.accepted_in_a_row or 0) >= tuning.CONFIRMED then
    pool.guessed, pool.w_max, pool.contradictions = nil, pool.number, nil
    cut(pool, started)
  end
  return true
end

-- Whether the number of jobs at a time explains a refusal. If so, the pool stays open: the next jobs start when others
-- end. count_started(pool): returns how many jobs have started, without the refused ones; it reads all permits
function numbers.explain(pool, sent_at, count_started)
  local are_learned = numbers.are_learned(pool)
  if not are_learned and not may_guess(pool, sent_at) then return false end
  local started = count_started(pool)
  if not are_learned then return guess(pool, started) end
  if pool.guessed then return refuse_guess(pool, sent_at, started) end
  if sent_at >= pool.t_max then
    -- Again and again fewer are too many, although more were accepted meanwhile: the limit is another one.
    if (pool.accepted_in_a_row or 0) >= tuning.ACCEPTED_BELOW then
      pool.contradictions = pool.number < pool.w_max - 0.5 and (pool.contradictions or 0) + 1 or nil
    end
    if (pool.contradictions or 0) >= tuning.CONTRADICTIONS then
      numbers.forget(pool)
      return false
    end
    pool.t_max, pool.w_max = clock.now, pool.number
  end
  cut(pool, started)
  return true
end
