-- ARGV: expiry in ms, most attempts, first and longest delay of a retry in s, weight of the newest in the mean
-- service time; then for each job its id, attempt ("": whichever), done, failed or retry, seconds of its run or
-- "", output or problem, and a number from 0 to 1 to spread retries by.
-- Gives for each what became of it; "gone" where there is no record.

local ttl, most, first, longest, weight =
  ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local runs = {}

local function finish(id, attempt, kind, run, payload, dice)
  local job = look(id)
  if not job then return 'gone' end
  if FINAL[job.state] then
    -- The same failure told again, because the answer was lost, must still be buried.
    if kind == 'retry' and job.state == 'failed' and job.buried == attempt then return 'bury' end
    return 'final'
  end
  if kind ~= 'done' and attempt ~= '' then
    if tonumber(attempt) < job.attempt then return 'stale' end
    if kind == 'retry' and job.retried == attempt then return 'retry' end
  end
  if run ~= '' then
    if not runs[job.queue] then runs[job.queue] = {} end
    table.insert(runs[job.queue], tonumber(run))
  end
  if kind == 'done' then
    if job.failures > 0 then redis.call('HDEL', job_at(id), 'problem') end
    close(id, job, 'done', ttl, 'output', payload, 'run', run)
    return 'final'
  end
  if kind == 'failed' then
    close(id, job, 'failed', ttl, 'problem', payload, 'run', run)
    return 'final'
  end
  if attempt == '' then attempt = tostring(job.attempt) end
  local failures = job.failures + 1
  if failures >= most then
    close(id, job, 'failed', ttl, 'problem', payload, 'run', run, 'failures', failures, 'buried', attempt)
    count(job.queue, 'dead')
    return 'bury'
  end
  local delay = math.min(first * 2 ^ (failures - 1), longest) * (1 + tonumber(dice)) / 2
  redis.call('HSET', job_at(id), 'problem', payload, 'failures', failures, 'retried', attempt)
  redis.call('HDEL', job_at(id), 'by', 'progress', 'note')
  queue_up(id, job, now + delay)
  count(job.queue, 'retried')
  return 'retry'
end

local answers = {}
for i = 6, #ARGV, 6 do
  answers[#answers + 1] = finish(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
end
for queue, mine in pairs(runs) do
  local before = redis.call('HMGET', index('load', queue), 'service_time', 'fastest')
  local mean, fastest = tonumber(before[1] or nil), tonumber(before[2] or nil)
  for _, run in ipairs(mine) do
    mean = mean and mean + weight * (run - mean) or run
    fastest = math.min(fastest or run, run)
  end
  redis.call('HSET', index('load', queue), 'service_time', text(mean), 'fastest', text(fastest))
end
flush()
return answers
