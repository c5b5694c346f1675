-- ARGV: for each job its id and attempt. What is no longer running as this attempt is left alone.

for i = 1, #ARGV, 2 do
  local id = ARGV[i]
  local job = look(id)
  if job and job.state == 'running' and job.attempt == tonumber(ARGV[i + 1]) then
    redis.call('HDEL', job_at(id), 'by', 'progress', 'note')
    queue_up(id, job)
    count(job.queue, 'returned')
  end
end
flush()
