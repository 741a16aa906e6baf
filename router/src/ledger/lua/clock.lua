-- Time passes, and what is due expires: mirrors pool/clock.rs.
local function begin_recovery(routers)
  if grants() then
    S.recovery, S.routers, S.back = S.now + ROUTER_LEASE, routers, ''
    falls_due(S.recovery)
  end
  S.routers = math.max(S.routers, routers)
end

local function reap(router)
  for _, id in ipairs(members(OWNED, router)) do remove(id, get_attempt(id)) end
  call('ZREM', ROUTERS, router)
  call('HDEL', FLAGS, router)
end

-- Nobody reports on a backend that has gone: what was given up on it has stopped once nothing has proved for PROOF_LASTS that it
-- runs.
local function stop_on_gone_backends()
  for _, id in ipairs(call('ZRANGEBYSCORE', ABANDONED, '-inf', S.now - PROOF_LASTS)) do
    local a = get_attempt(id)
    if get_node(a.backend).lease < 0 then remove(id, a) end
  end
end

-- The instant before which nothing expires, looked up anew.
local function next_due()
  S.due = grants() and NEVER or S.recovery
  for _, set in ipairs({ LEASES, ROUTERS, DEADLINES }) do
    local first = call('ZRANGE', set, 0, 0, 'WITHSCORES')
    if first[2] then falls_due(tonumber(first[2])) end
  end
  local proof = call('ZRANGEBYSCORE', ABANDONED, '(' .. string.format('%.0f', S.now - PROOF_LASTS), '+inf', 'WITHSCORES',
    'LIMIT', 0, 1)
  if proof[2] then falls_due(tonumber(proof[2]) + PROOF_LASTS) end
end

local function expire()
  local function due(set)
    return call('ZRANGEBYSCORE', set, '-inf', S.now)
  end
  for _, id in ipairs(due(LEASES)) do retire(id) end
  stop_on_gone_backends()
  local routers, allowed = due(ROUTERS), 0
  if #routers > 0 then allowed = largest_limit() end
  for _, router in ipairs(routers) do reap(router) end
  -- All of them at once: it was the account that was away, and the routers still hold what they held.
  if #routers > 1 and call('ZCARD', ROUTERS) == 0 then begin_recovery(#routers) end
  if not grants() and S.recovery <= S.now then S.recovery = 0 end
  for _, id in ipairs(due(DEADLINES)) do
    drop_ticket(id, 'deadline')
    count('timed_out')
  end
  dispatch()
  if #routers > 0 then make_room(allowed - largest_limit()) end
  next_due()
end

local function advance()
  local now = math.max(clock(), S.now)
  elapse(S.now, now, S.slots > 0 and S.free == 0)
  S.now = now
  if S.due <= now then expire() end
end

-- Opens the account and brings it to the present; false where there is no such pool.
local function present()
  if not open() then return false end
  advance()
  return true
end

-- Gives a router a new lease.
local function put_lease(router, flags, max_queue_size, pool_memory)
  call('ZADD', ROUTERS, S.now + ROUTER_LEASE, router)
  call('HSET', FLAGS, router, cmsgpack.pack(flags, tonumber(max_queue_size), tonumber(pool_memory)))
  falls_due(S.now + ROUTER_LEASE)
end

-- The routers as one of them sees them: the clock, how many there are, and how many come before it.
local function roll(router)
  local rank, routers = 0, call('ZRANGE', ROUTERS, 0, -1)
  for _, other in ipairs(routers) do
    if other < router then rank = rank + 1 end
  end
  return struct.pack('<ddd', S.now, #routers, rank)
end

-- A router that holds something must have a lease, so that its death is noticed.
local function open_lease(router, max_queue_size, pool_memory)
  if not call('ZSCORE', ROUTERS, router) then put_lease(router, '', max_queue_size, pool_memory) end
end

-- Whether requests wait although no backend is live: one was seen lately, or is expected.
local function holds(pool_memory)
  return S.now - S.backend_seen < pool_memory
end
