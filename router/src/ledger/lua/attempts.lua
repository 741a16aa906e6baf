-- Attempts wait, run and go: mirrors pool/grant.rs, the queue of pool/admit.rs, and Pool::remove.
local function queued()
  return S.q0 + S.q1 + S.q2
end

-- Takes an attempt in under its router's name.
local function own(id, router)
  call('ZADD', OWNED, 0, router .. '\0' .. id)
end

local function enqueue(id, a)
  a.phase, a.backend, a.since, a.suspect = 'q', '', 0, 0
  put_attempt(id, a)
  call('ZADD', QUEUE, a.rank * PER_RANK + a.arrival, id)
  call('ZADD', DEADLINES, a.deadline, id)
  falls_due(a.deadline)
  -- A place of an account that was lost, whose clock was ahead, is before whoever comes from now on.
  S.arrivals = math.max(S.arrivals, a.arrival)
  S['q' .. a.rank] = S['q' .. a.rank] + 1
end

local function leave_queue(id, a)
  call('ZREM', QUEUE, id)
  call('ZREM', DEADLINES, id)
  S['q' .. a.rank] = S['q' .. a.rank] - 1
end

-- A place and since when it runs, as the router reads it.
local function place_of(a)
  return struct.pack('<ddddd', a.rank, a.arrival, a.entered, a.deadline, a.since)
end

-- The grant of an attempt that runs on `n`, as the caller and the router read it.
local function grant_of(id, a, n)
  return 'grant\0' .. id .. '\0' .. a.router .. '\0' .. a.backend .. '\0' .. n.url .. '\0' .. n.epoch .. '\0' .. place_of(a)
end

-- Puts an attempt on a backend; gives its grant.
local function occupy(id, a, backend)
  a.phase, a.backend, a.since = 'r', backend, S.now
  put_attempt(id, a)
  S.running = S.running + 1
  return grant_of(id, a, shift_node(backend, 1, 0))
end

-- The preferred backend, or the least loaded one, that a ticket may have.
local function free_backend(a)
  if a.prefer ~= '' and call('ZSCORE', FREE, a.prefer)
    and (a.avoid == '' or not avoids(a.avoid, a.prefer, get_node(a.prefer))) then
    return a.prefer
  end
  if a.avoid == '' then return call('ZRANGE', FREE, 0, 0)[1] end
  for _, id in ipairs(call('ZRANGE', FREE, 0, -1)) do
    if not avoids(a.avoid, id, get_node(id)) then return id end
  end
end

-- Free slots go to the first tickets. The grant of the attempt `own` is the answer to the call, not an action.
local function dispatch(own)
  local passed = 0
  while S.free > 0 and queued() > passed and grants() do
    local id = call('ZRANGE', QUEUE, passed, passed)[1]
    local a = get_attempt(id)
    local backend = free_backend(a)
    if backend then
      leave_queue(id, a)
      local grant = occupy(id, a, backend)
      if id ~= own then emit(a.router, grant) end
    else
      passed = passed + 1
    end
  end
end

-- Takes an attempt off the account, with all that it holds.
local function remove(id, a)
  call('HDEL', ATTEMPTS, id)
  call('ZREM', OWNED, a.router .. '\0' .. id)
  if a.phase == 'q' then
    leave_queue(id, a)
  elseif a.phase == 'r' then
    S.running = S.running - 1
    shift_node(a.backend, -1, 0)
  else
    call('ZREM', ABANDONED, id)
    S.abandoned = S.abandoned - 1
    shift_node(a.backend, 0, -1)
  end
end
