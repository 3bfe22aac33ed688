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
  for _, name in ipairs({'assistant', 'kind', 'latest', 'key'}) do
    thread[name] = news and news[name] or thread[name]
  end
  return thread
end

-- Updates the entry of a thread that this or an earlier job keeps. `news`: the entry as of this job alone, nil if it
-- keeps none; `used`: the thread that it ran on, or nil. Returns whether the objects that the job made stay with the
-- thread; they do not stay with a foreign thread, which is not listed (jobs: 0).
function threads.keep(id, news, used, transcript)
  local name = news and (news.endpoint .. '/' .. news.id) or used
  local known = name and redis.call('HGET', keys.threads, name)
  if not known and (not news or news.jobs == 0) then return false end
  local is_read, thread = true, news
  if not known then thread.job_ids = {id} end
  if known then is_read, thread = pcall(with_job, json.read(known), id, news) end
  if not is_read then return news ~= nil end  -- damaged: leave it unchanged
  redis.call('HSET', keys.threads, name, cjson.encode(thread))
  if news and transcript then
    redis.call('SET', keys.transcript(name), transcript)
  elseif news then
    redis.call('DEL', keys.transcript(name))
  end
  return news ~= nil
end
