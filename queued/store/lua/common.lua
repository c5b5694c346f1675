-- Begins every script. All times are Redis's own, in Unix seconds: clocks of other machines do not count.

local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local FINAL = {done = true, failed = true, cancelled = true, expired = true}
local FIELDS = {
  'state', 'queue', 'attempt', 'failures', 'losses', 'by', 'deadline', 'key', 'callback', 'buried', 'retried',
  'again', 'promised', 'listener',
}

local function text(number) return string.format('%.6f', number) end

local function job_at(id) return 'queued:job:' .. id end

-- What a deleted job leaves for a while: a message of it that still comes must not run it again.
local function grave_at(id) return 'queued:grave:' .. id end

local function index(kind, queue) return 'queued:' .. kind .. ':' .. queue end

-- The job as a table, numbers as numbers; nil where there is none.
local function look(id)
  local values = redis.call('HMGET', job_at(id), unpack(FIELDS))
  if not values[1] then return nil end
  local job = {}
  for i, name in ipairs(FIELDS) do job[name] = values[i] or nil end
  job.attempt = tonumber(job.attempt or 0)
  job.failures = tonumber(job.failures or 0)
  job.losses = tonumber(job.losses or 0)
  job.deadline = tonumber(job.deadline)
  job.queue = job.queue or ''
  return job
end

local function told_at(id) return 'queued:told:' .. id end

local function tell(id, what) redis.call('PUBLISH', told_at(id), what) end

-- Who waits for the end gets a small result with the news, and need not come back for it. Who waits since it was
-- submitted hears of it by a channel of its own, and need not follow the job.
local function tell_end(id, job, state)
  local at = job_at(id)
  local followed = redis.call('PUBSUB', 'NUMSUB', told_at(id))[2] > 0
  if not (followed or job.listener) then return end
  local size = 0
  for _, name in ipairs({'input', 'output', 'problem'}) do size = size + redis.call('HSTRLEN', at, name) end
  if size <= SMALL then
    state = state .. '\n' .. cjson.encode(redis.call('HMGET', at, unpack(RESULT)))
  end
  if followed then tell(id, state) end
  if job.listener then redis.call('PUBLISH', 'queued:listener:' .. job.listener, id .. '\n' .. state) end
end

-- Counters are written once a script, by `flush`.
local counts = {}

local function count(queue, what)
  local mine = counts[queue]
  if not mine then mine = {}; counts[queue] = mine end
  mine[what] = (mine[what] or 0) + 1
end

local function flush()
  for queue, mine in pairs(counts) do
    for what, times in pairs(mine) do redis.call('HINCRBY', index('load', queue), what, times) end
  end
end

-- Takes a job that has not ended out of the index it stands in.
local function leave(id, job)
  if job.state == 'running' then
    redis.call('ZREM', index('running', job.queue), id)
  elseif redis.call('ZREM', index('waiting', job.queue), id) == 0 then
    redis.call('ZREM', index('due', job.queue), id)
  end
end

-- Puts a queued job where it waits: in its queue, or for its next attempt where `due` says when that is.
local function line_up(id, job, due)
  if due then
    redis.call('ZADD', index('due', job.queue), due, id)
  else
    redis.call('ZADD', index('waiting', job.queue), now, id)
  end
  if job.deadline then redis.call('ZADD', 'queued:deadlines', job.deadline, id) end
end

-- Makes a job queued again.
local function queue_up(id, job, due)
  leave(id, job)
  redis.call('HSET', job_at(id), 'state', 'queued')
  line_up(id, job, due)
  job.state = 'queued'
  tell(id, 'queued')
end

-- Ends a job: `...` are more fields and values of its record. `ttl` in ms.
local function close(id, job, state, ttl, ...)
  local at = job_at(id)
  leave(id, job)
  redis.call('HSET', at, 'state', state, 'finished', text(now), ...)
  redis.call('PEXPIRE', at, ttl)
  if job.deadline then redis.call('ZREM', 'queued:deadlines', id) end
  if job.key then redis.call('PEXPIRE', 'queued:key:' .. job.key, ttl) end
  if job.callback then
    local about = redis.call('HMGET', at, 'task', 'created')
    redis.call('HSET', 'queued:hooks', id, cjson.encode({
      url = job.callback, state = state, task = about[1], created = about[2], finished = text(now), tries = 0,
    }))
    redis.call('ZADD', 'queued:webhooks', now, id)
  end
  count(job.queue, state)
  job.state = state
  tell_end(id, job, state)
end

-- Jobs that the workers of a queue do at the same time, and how many workers that are.
local function capacity(queue)
  local slots, workers = 0, 0
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', index('workers', queue), now, '+inf')) do
    slots = slots + tonumber(string.match(member, '/(%d+)$') or 0)
    workers = workers + 1
  end
  return slots, workers
end

-- Seconds that a job with so many before it will wait; nil where nobody can know.
local function expected(ahead, running, slots, service_time)
  if slots > running + ahead then return 0 end
  if slots == 0 or not service_time then return nil end
  return service_time * (ahead + running / 2) / slots
end

local URGENCY = {'.high', '', '.low'}

-- What an estimate needs of a queue: what runs, slots, mean service time, and what waits in more urgent queues.
-- `levels` is "1" where the same workers serve a queue for each priority; that they now and then prefer the less
-- urgent, so that these do not starve, is left out.
local function figures(queue, levels)
  local slots = capacity(queue)
  local service_time = tonumber(redis.call('HGET', index('load', queue), 'service_time') or nil)
  if levels ~= '1' then return redis.call('ZCARD', index('running', queue)), slots, service_time, 0 end
  local base = string.gsub(string.gsub(queue, '%.high$', ''), '%.low$', '')
  local running, before, more_urgent = 0, 0, true
  for _, urgency in ipairs(URGENCY) do
    local rival = base .. urgency
    running = running + redis.call('ZCARD', index('running', rival))
    if rival == queue then more_urgent = false end
    if more_urgent then before = before + redis.call('ZCARD', index('waiting', rival)) end
  end
  return running, slots, service_time, before
end
