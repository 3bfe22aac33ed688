-- include: clock, json
local threads = {}

-- Ids of the last jobs of a thread that its entry has.
local HISTORY = 30

local function with_job(thread, id, news)
  thread.jobs = thread.jobs + 1
  thread.job_ids = thread.job_ids or {thread.job_id}  -- an older version did not store them
  table.insert(thread.job_ids, id)
  if #thread.job_ids > HISTORY then table.remove(thread.job_ids, 1) end
  thread.job_id = id
  thread.used_at = clock.text
  for thing, kind in pairs(news and news.things or {}) do thread.things[thing] = kind end
  for _, name in ipairs({'assistant', 'kind', 'latest', 'key', 'dropped'}) do
    thread[name] = news and news[name] or thread[name]
  end
  return thread
end

-- Lets a local thread expire at this time, unless it expires later. Nothing renews one without its transcript.
function threads.renew(name, at)
  local expires_at = tonumber(redis.call('ZSCORE', keys.local_threads, name) or math.huge)
  if expires_at >= at then return end
  local is_there = redis.call('EXPIRE', keys.transcript(name), math.ceil(at - clock.now)) == 1
  if is_there then redis.call('ZADD', keys.local_threads, at, name) end
end

local function store_transcript(name, transcript, is_local, ttl_s)
  if not transcript then
    redis.call('DEL', keys.transcript(name))
  elseif is_local then
    redis.call('SET', keys.transcript(name), transcript, 'EX', ttl_s)
  else
    redis.call('SET', keys.transcript(name), transcript)
  end
  if is_local then redis.call('ZADD', keys.local_threads, clock.now + ttl_s, name) end
end

-- Updates the entry of a thread that this or an earlier job keeps. `news`: the entry as of this job alone, nil if it
-- keeps none; `used`: the thread that it ran on, or nil; `ttl_s`: of a local thread. Returns whether the objects that
-- the job made stay with the thread; they do not stay with a foreign thread, which is not listed (jobs: 0).
function threads.keep(id, news, used, transcript, ttl_s)
  local name = news and (news.endpoint .. '/' .. news.id) or used
  local known = name and redis.call('HGET', keys.threads, name)
  if not known and (not news or news.jobs == 0) then return false end
  local is_read, thread = true, news
  if not known then thread.job_ids = {id} end
  if known then is_read, thread = pcall(with_job, json.read(known), id, news) end
  if not is_read then return news ~= nil end  -- damaged: leave it unchanged
  redis.call('HSET', keys.threads, name, cjson.encode(thread))
  if news then
    store_transcript(name, transcript, thread.kind == 'local', ttl_s)
  else
    threads.renew(name, clock.now + ttl_s)
  end
  return news ~= nil
end
