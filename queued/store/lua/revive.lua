-- ARGV: id; then the fields and values of the record, should there be none. Gives 1 if the job is queued again.

local id = ARGV[1]
local job = look(id)
if not job then
  local fields = {}
  for i = 2, #ARGV do fields[#fields + 1] = ARGV[i] end
  job = write(id, fields)
elseif job.state ~= 'failed' then
  return 0
end
redis.call('PERSIST', job_at(id))
if job.key then redis.call('PERSIST', 'queued:key:' .. job.key) end
redis.call('HDEL', job_at(id), 'finished', 'run', 'problem', 'failures', 'losses', 'buried', 'retried', 'by',
  'progress', 'note')
redis.call('DEL', grave_at(id))
redis.call('HDEL', 'queued:hooks', id)
redis.call('ZREM', 'queued:webhooks', id)
queue_up(id, job)
count(job.queue, 'revived')
flush()
return 1
