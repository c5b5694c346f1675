-- ARGV: most that wait, longest expected wait in s or "", number of fields of a record, 1 for priorities; then for
-- each job its id, the hash of its Idempotency-Key or "", and the fields and values of its record.
-- Gives for each: accepted, id, replayed, conflict, expected wait or "", jobs before it.

local most, longest, width, levels = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local known = {}

local function estimate(queue)
  local at = known[queue]
  if not at then
    local running, slots, service_time, before = figures(queue, levels)
    at = {
      waiting = redis.call('ZCARD', index('waiting', queue)), due = redis.call('ZCARD', index('due', queue)),
      running = running, slots = slots, service_time = service_time, before = before,
    }
    known[queue] = at
  end
  return at, at.before + at.waiting
end

local function wait_of(at, ahead)
  local wait = expected(ahead, at.running, at.slots, at.service_time)
  return wait, wait and text(wait) or ''
end

local function admit(id, key, fields)
  local queue, fingerprint = '', ''
  for i = 1, #fields, 2 do
    if fields[i] == 'queue' then queue = fields[i + 1] end
    if fields[i] == 'fingerprint' then fingerprint = fields[i + 1] end
  end
  local at, ahead = estimate(queue)
  local wait, shown = wait_of(at, ahead)
  if key ~= '' then
    local first = redis.call('GET', 'queued:key:' .. key)
    local state = first and first ~= id and redis.call('HGET', job_at(first), 'state')
    if state then
      if (redis.call('HGET', job_at(first), 'fingerprint') or '') ~= fingerprint then
        return 0, first, 0, 1, shown, ahead
      end
      count(queue, 'replayed')
      if state ~= 'queued' then return 1, first, 1, 0, '0', 0 end
      -- From now on somebody else counts on it: whose first submission times out must not end it.
      redis.call('HSET', job_at(first), 'promised', 1)
      ahead = at.before + (redis.call('ZRANK', index('waiting', queue), first) or 0)
      wait, shown = wait_of(at, ahead)
      return 1, first, 1, 0, shown, ahead
    end
  end
  if redis.call('EXISTS', job_at(id)) == 1 then return 1, id, 0, 0, shown, ahead end
  if at.waiting + at.due >= most or (longest and wait and wait > longest) then
    count(queue, 'rejected')
    return 0, id, 0, 0, shown, ahead
  end
  line_up(id, write(id, fields))
  if key ~= '' then redis.call('SET', 'queued:key:' .. key, id) end
  count(queue, 'accepted')
  at.waiting = at.waiting + 1
  return 1, id, 0, 0, shown, ahead
end

local answers = {}
for i = 5, #ARGV, 2 + width do
  local fields = {}
  for j = i + 2, i + 1 + width do fields[#fields + 1] = ARGV[j] end
  answers[#answers + 1] = {admit(ARGV[i], ARGV[i + 1], fields)}
end
flush()
return answers
