-- Slots are given out: mirrors pool/grant.rs.
-- The grant of an attempt that runs on `n`.
local function grant_of(id, a, n)
  return grant(id, a.router, a.backend, n.url, n.epoch, a.rank, a.arrival, a.entered, a.deadline, a.since)
end

-- Puts an attempt on a backend; gives its grant.
local function occupy(id, a, backend)
  a.phase, a.backend, a.since = 'r', backend, S.now
  put_attempt(id, a)
  S.running = S.running + 1
  -- A tenant's ticket is served.
  if a.caller ~= '' then S.turn = math.max(S.turn, a.arrival) end
  return grant_of(id, a, shift_node(backend, 1, 0))
end

-- The preferred backend, or the least loaded one, that a ticket may have.
local function free_backend(a)
  if a.prefer ~= '' and call('ZSCORE', FREE, a.prefer)
    and (a.avoid == '' or not avoids(a.avoid, a.prefer, get_node(a.prefer))) then
    return a.prefer
  end
  if a.avoid == '' then return call('ZRANGE', FREE, '0', '0')[1] end
  for _, id in ipairs(call('ZRANGE', FREE, '0', '-1')) do
    if not avoids(a.avoid, id, get_node(id)) then return id end
  end
end

-- Free slots go to the first tickets. The grant of the attempt `own` is the answer to the call, not an action.
local function dispatch(own)
  local passed = 0
  while S.free > 0 and S.recovery == 0 and S.q0 + S.q1 + S.q2 > passed do
    local id = call('ZRANGE', QUEUE, passed, passed)[1]
    local a = get_attempt(id)
    local backend = free_backend(a)
    if backend then
      leave_queue(id, a.rank, a.caller)
      local granted = occupy(id, a, backend)
      if id ~= own then emit(a.router, granted) end
    else
      passed = passed + 1
    end
  end
end
