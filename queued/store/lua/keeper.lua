-- ARGV: name, ms. Gives 1 if this keeper acts for so long.

local holder = redis.call('GET', 'queued:keeper')
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', 'queued:keeper', ARGV[1], 'PX', ARGV[2])
return 1
