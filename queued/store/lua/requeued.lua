-- ARGV: ids of jobs whose message is in the queue again.

for _, id in ipairs(ARGV) do
  local job = look(id)
  if job and job.state == 'queued' then
    -- One that is due later has been begun meanwhile, and failed once more.
    if tonumber(redis.call('ZSCORE', index('due', job.queue), id) or 0) <= now then
      redis.call('ZREM', index('due', job.queue), id)
      redis.call('ZADD', index('waiting', job.queue), now, id)
      redis.call('HSET', job_at(id), 'again', 1)
      count(job.queue, 'requeued')
    end
  elseif job and job.state == 'running' then
    -- Unless it was renewed or begun since it was found abandoned.
    if tonumber(redis.call('ZSCORE', index('running', job.queue), id) or 0) <= now then
      redis.call('HSET', job_at(id), 'losses', job.losses + 1)
      queue_up(id, job)
      count(job.queue, 'lost')
      count(job.queue, 'requeued')
    end
  end
end
flush()
