-- ARGV: id, expiry in ms, problem; then the fields and values of the record, should there be none.
-- Gives the state that the job is in then.

local id, ttl, problem = ARGV[1], ARGV[2], ARGV[3]
local job = look(id)
if not job then
  local grave = redis.call('GET', grave_at(id))
  if grave then return grave end
  local fields = {}
  for i = 4, #ARGV do fields[#fields + 1] = ARGV[i] end
  job = write(id, fields)
  job.attempt = 0
end
-- One that was begun before has got through: it is accepted. One that was submitted again with its key is
-- somebody else's as well, who may have been told that it is accepted.
if job.state ~= 'queued' or job.attempt > 0 or job.promised then return job.state end
if job.key and redis.call('GET', 'queued:key:' .. job.key) == id then
  redis.call('DEL', 'queued:key:' .. job.key)
end
job.callback, job.key = nil, nil
close(id, job, 'failed', ttl, 'problem', problem)
redis.call('HDEL', job_at(id), 'key')
count(job.queue, 'refused')
flush()
return 'failed'
