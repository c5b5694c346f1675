-- ARGV: id; then the fields and values of the record. Makes the record of a job of which only the message is left.
-- Gives the final state of one that was deleted, else "".

local id = ARGV[1]
local grave = redis.call('GET', grave_at(id))
if grave then return grave end
if redis.call('EXISTS', job_at(id)) == 0 then
  local fields = {}
  for i = 2, #ARGV do fields[#fields + 1] = ARGV[i] end
  queue_up(id, write(id, fields))
end
return ''
