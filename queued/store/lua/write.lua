-- Writes the record of a job that is queued from now on. `fields`: fields and values, "" for none.
local function write(id, fields)
  local pairs_, job = {}, {state = 'queued'}
  for i = 1, #fields, 2 do
    if fields[i + 1] ~= '' then
      pairs_[#pairs_ + 1] = fields[i]
      pairs_[#pairs_ + 1] = fields[i + 1]
      job[fields[i]] = fields[i + 1]
    end
  end
  job.queue = job.queue or ''
  job.deadline = tonumber(job.deadline)
  redis.call('HSET', job_at(id), 'state', 'queued', 'attempt', 0, unpack(pairs_))
  return job
end
