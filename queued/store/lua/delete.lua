-- ARGV: id, ms for which messages of it are remembered as done with. Gives 1 if an ended job was deleted.

local id = ARGV[1]
local job = look(id)
if not job or not FINAL[job.state] then return 0 end
redis.call('SET', grave_at(id), job.state, 'PX', ARGV[2])
if job.key and redis.call('GET', 'queued:key:' .. job.key) == id then
  redis.call('DEL', 'queued:key:' .. job.key)
end
redis.call('DEL', job_at(id))
return 1
