-- ARGV: id, when, tries.

local about = redis.call('HGET', 'queued:hooks', ARGV[1])
if about then
  about = cjson.decode(about)
  about.tries = tonumber(ARGV[3])
  redis.call('HSET', 'queued:hooks', ARGV[1], cjson.encode(about))
  redis.call('ZADD', 'queued:webhooks', tonumber(ARGV[2]), ARGV[1])
end
