-- ARGV: id, expiry in ms. Gives the state that the job is in then, "" where there is none.

local id = ARGV[1]
local job = look(id)
if not job then return '' end
if not FINAL[job.state] then
  close(id, job, 'cancelled', ARGV[2])
  flush()
end
return job.state
