-- ARGV: queue, 1 for priorities. Gives: waiting, running, due, workers, slots, seconds that the oldest has waited,
-- expected wait (each "" where it is not known), then the fields and values of the queue's own hash.

local queue = ARGV[1]
local waiting = redis.call('ZCARD', index('waiting', queue))
local _, slots, service_time = figures(queue)
local busy, _, _, before = figures(queue, ARGV[2])
local _, workers = capacity(queue)
local first = redis.call('ZRANGE', index('waiting', queue), 0, 0, 'WITHSCORES')
local wait = expected(before + waiting, busy, slots, service_time)
local answer = {
  waiting, redis.call('ZCARD', index('running', queue)), redis.call('ZCARD', index('due', queue)), workers, slots,
  first[2] and text(now - tonumber(first[2])) or '', wait and text(wait) or '',
}
for _, value in ipairs(redis.call('HGETALL', index('load', queue))) do answer[#answer + 1] = value end
return answer
