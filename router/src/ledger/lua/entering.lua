-- An attempt comes: mirrors the queue of pool/admit.rs.
-- Takes an attempt in under its router's name.
local function own(id, router)
  call('ZADD', OWNED, '0', router .. '\0' .. id)
end

local function enqueue(id, a)
  a.phase, a.backend, a.since, a.suspect = 'q', '', 0, 0
  put_attempt(id, a)
  own(id, a.router)
  call('ZADD', QUEUE, whole(a.rank * PER_RANK + a.arrival), id)
  call('ZADD', DEADLINES, whole(a.deadline), id)
  falls_due(a.deadline)
  if a.caller ~= '' then
    callers().comes(a, true)
  else
    -- A place of an account that was lost, whose clock was ahead, is before whoever comes from now on.
    S.arrivals = math.max(S.arrivals, a.arrival)
  end
  local place = FIRST_QUEUE + a.rank
  S[place] = S[place] + 1
end
