-- ARGV: id, expiry in ms, ms for which messages of it are remembered as done with.
-- The first call counts: who asks again must not prolong it.

local id, ttl = ARGV[1], tonumber(ARGV[2])
local state = redis.call('HGET', job_at(id), 'state')
if state and FINAL[state] and redis.call('PTTL', job_at(id)) > ttl then
  redis.call('PEXPIRE', job_at(id), ttl)
  redis.call('SET', grave_at(id), state, 'PX', ttl + tonumber(ARGV[3]))
end
