-- ARGV: queue, worker, slots, seconds for which it counts; 0: it is gone.

local at = index('workers', ARGV[1])
local mine = ARGV[2] .. '/'
for _, member in ipairs(redis.call('ZRANGE', at, 0, -1)) do
  if string.sub(member, 1, #mine) == mine then redis.call('ZREM', at, member) end
end
redis.call('ZREMRANGEBYSCORE', at, '-inf', now)
if tonumber(ARGV[4]) > 0 then redis.call('ZADD', at, now + tonumber(ARGV[4]), mine .. ARGV[3]) end
