-- ARGV: waiting, overtaken, due or running; queue, grace in s, most to give, names of the fields wanted.
-- Gives for each job its id and those fields. What stands in the index by mistake is taken out of it.

local what, queue, grace = ARGV[1], ARGV[2], tonumber(ARGV[3])
local kind, before = what, now - grace
if what == 'overtaken' then
  kind = 'waiting'
  before = tonumber(redis.call('HGET', index('load', queue), 'begun_mark') or 0) - grace
end
local at, wanted = index(kind, queue), kind == 'running' and 'running' or 'queued'
local fields = {unpack(ARGV, 5)}
local answers = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', at, '-inf', before, 'LIMIT', 0, ARGV[4])) do
  local values = redis.call('HMGET', job_at(id), 'state', unpack(fields))
  if values[1] == wanted then
    values[1] = id
    answers[#answers + 1] = values
  else
    redis.call('ZREM', at, id)
  end
end
return answers
