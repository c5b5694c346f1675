-- ARGV: most to give, seconds for which nobody else is given them. Gives for each webhook its job's id and what
-- is to be sent, as JSON.

local answers = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'queued:webhooks', '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local about = redis.call('HGET', 'queued:hooks', id)
  if about then
    redis.call('ZADD', 'queued:webhooks', now + tonumber(ARGV[2]), id)
    answers[#answers + 1] = {id, about}
  else
    redis.call('ZREM', 'queued:webhooks', id)
  end
end
return answers
