-- ARGV: lease in s, most losses, expiry in ms, the problem of one whose workers are lost too often; then for each
-- job its id and who begins it: the worker and a word for this one call, so that a call may be repeated whose
-- answer was lost. Gives for each: verdict, state, attempt; verdict "gone" where there is no record.

local lease, most, ttl, problem = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local marks, fastest = {}, {}

-- No job of this queue ever took less.
local function least(queue)
  if not fastest[queue] then
    fastest[queue] = tonumber(redis.call('HGET', index('load', queue), 'fastest') or 0)
  end
  return fastest[queue]
end

local function begin(id, by)
  local job = look(id)
  if not job then return 'gone', '', 0 end
  if FINAL[job.state] then return job.buried and 'bury' or 'drop', job.state, job.attempt end
  local put
  if job.state == 'running' then
    local alive = tonumber(redis.call('ZSCORE', index('running', job.queue), id) or 0) > now
    if alive then return job.by == by and 'run' or 'leased', 'running', job.attempt end
    job.losses = job.losses + 1
    count(job.queue, 'lost')
  else
    put = tonumber(redis.call('ZSCORE', index('waiting', job.queue), id) or nil)
    local due = not put and tonumber(redis.call('ZSCORE', index('due', job.queue), id) or nil)
    if due and due > now then return 'leased', 'queued', job.attempt end
  end
  if job.losses >= most then
    close(id, job, 'failed', ttl, 'problem', problem, 'losses', job.losses, 'buried', job.attempt)
    count(job.queue, 'dead')
    return 'bury', 'failed', job.attempt
  end
  if job.deadline and job.deadline - now <= least(job.queue) then
    close(id, job, 'expired', ttl)
    return 'drop', 'expired', job.attempt
  end
  leave(id, job)
  local attempt = job.attempt + 1
  redis.call('HSET', job_at(id), 'state', 'running', 'attempt', attempt, 'started', text(now), 'by', by)
  if job.attempt > 0 then
    redis.call('HSET', job_at(id), 'losses', job.losses)
    redis.call('HDEL', job_at(id), 'progress', 'note')
  end
  redis.call('ZADD', index('running', job.queue), now + lease, id)
  -- Only one whose message can't stand before its time: one that came back waits as if it were new, while a
  -- message of it may be at the head of the queue.
  local first = attempt == 1 and not job.again
  if put and first and put > (marks[job.queue] or 0) then marks[job.queue] = put end
  count(job.queue, 'begun')
  tell(id, 'running')
  return 'run', 'running', attempt
end

local answers = {}
for i = 5, #ARGV, 2 do answers[#answers + 1] = {begin(ARGV[i], ARGV[i + 1])} end
for queue, mark in pairs(marks) do
  if mark > tonumber(redis.call('HGET', index('load', queue), 'begun_mark') or 0) then
    redis.call('HSET', index('load', queue), 'begun_mark', text(mark))
  end
end
flush()
return answers
