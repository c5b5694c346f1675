-- ARGV: most to look at, expiry in ms. Gives how many queued jobs have expired.

local expired = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'queued:deadlines', '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local job = look(id)
  if job and job.state == 'queued' then
    close(id, job, 'expired', ARGV[2])
    expired = expired + 1
  else
    -- One that runs may end as it will; should it be queued again, it comes back here.
    redis.call('ZREM', 'queued:deadlines', id)
  end
end
flush()
return expired
