-- What stands on the account of an attempt, and when something is due.
-- A number of up to 2^53 without a fraction, as text.
local function whole(number)
  return string.format('%d', number)
end

-- Something will be due then.
local function falls_due(at)
  if at < S.due then S.due = at end
end

local function get_attempt(id)
  local raw = call('HGET', ATTEMPTS, id)
  if not raw then return nil end
  local router, rank, arrival, entered, deadline, phase, backend, since, suspect, avoid, prefer, caller, charged =
    cmsgpack.unpack(raw)
  return { router = router, rank = rank, arrival = arrival, entered = entered, deadline = deadline, phase = phase,
    backend = backend, since = since, suspect = suspect, avoid = avoid, prefer = prefer, caller = caller,
    charged = charged }
end

local function put_attempt(id, a)
  call('HSET', ATTEMPTS, id, cmsgpack.pack(a.router, a.rank, a.arrival, a.entered, a.deadline, a.phase, a.backend,
    a.since, a.suspect, a.avoid, a.prefer, a.caller, a.charged))
end

-- A ticket at a position, as its router reads it.
local function waits(position, a)
  return 'queued\0' .. struct.pack('<ddddd', position, a.rank, a.arrival, a.entered, a.deadline)
end
