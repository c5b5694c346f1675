-- ARGV: id, 1 for priorities; then names of fields. Gives their values, then: jobs before it, expected wait, mean
-- service time, seconds since it was begun; false where a value is missing. Nothing where there is no record.

local id = ARGV[1]
local values = redis.call('HMGET', job_at(id), unpack(ARGV, 3))
local about = redis.call('HMGET', job_at(id), 'state', 'queue', 'started')
local state, queue = about[1], about[2] or ''
if not state then return false end
local ahead, wait, mean, elapsed = false, false, false, false
if not FINAL[state] then
  local running, slots, service_time, before = figures(queue, ARGV[2])
  mean = service_time and text(service_time) or false
  if state == 'running' then
    elapsed = text(now - tonumber(about[3] or now))
  else
    ahead = redis.call('ZRANK', index('waiting', queue), id)
    if ahead then
      ahead = ahead + before
      local seconds = expected(ahead, running, slots, service_time)
      wait = seconds and text(seconds) or false
    else
      local due = tonumber(redis.call('ZSCORE', index('due', queue), id) or nil)
      wait = due and text(math.max(0, due - now)) or false
    end
  end
end
for _, value in ipairs({ahead, wait, mean, elapsed}) do values[#values + 1] = value end
return values
