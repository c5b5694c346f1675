-- ARGV: id.

redis.call('HDEL', 'queued:hooks', ARGV[1])
redis.call('ZREM', 'queued:webhooks', ARGV[1])
