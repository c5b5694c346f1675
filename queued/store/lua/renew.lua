-- ARGV: lease in s, worker; then for each job its id, attempt, progress or "", note or "".
-- Gives for each: running where the attempt is this worker's, else the state; "" where there is no record.

local lease, worker = tonumber(ARGV[1]), ARGV[2]

local function renew(id, attempt, progress, note)
  local job = look(id)
  if not job then return '' end
  if FINAL[job.state] then return job.state end
  local mine = job.attempt == tonumber(attempt) and job.by and string.sub(job.by, 1, #worker + 1) == worker .. '#'
  if not mine then return 'queued' end
  if job.state == 'queued' then
    -- It was thought lost and queued again, but nobody has begun it: better to go on than to do it twice.
    leave(id, job)
    redis.call('HSET', job_at(id), 'state', 'running', 'losses', math.max(0, job.losses - 1))
    tell(id, 'running')
  end
  redis.call('ZADD', index('running', job.queue), now + lease, id)
  if progress ~= '' or note ~= '' then
    local before = redis.call('HMGET', job_at(id), 'progress', 'note')
    if (before[1] or '') ~= progress or (before[2] or '') ~= note then
      redis.call('HSET', job_at(id), 'progress', progress, 'note', note)
      tell(id, 'progress')
    end
  end
  return 'running'
end

local answers = {}
for i = 3, #ARGV, 4 do
  answers[#answers + 1] = renew(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
end
return answers
