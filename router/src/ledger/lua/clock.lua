-- Time passes, and what is due expires: mirrors pool/clock.rs.
local function reap(router)
  for _, id in ipairs(members(OWNED, router)) do remove(id, get_attempt(id)) end
  call('ZREM', ROUTERS, router)
  call('HDEL', FLAGS, router)
end

local function due(set)
  return call('ZRANGEBYSCORE', set, '-inf', S.now)
end

local function advance()
  local now = math.max(clock(), S.now)
  elapse(S.now, now, S.slots > 0 and call('ZCARD', FREE) == 0)
  S.now = now
  local backends, routers = due(LEASES), due(ROUTERS)
  for _, id in ipairs(backends) do retire(id) end
  for _, router in ipairs(routers) do reap(router) end
  for _, id in ipairs(due(DEADLINES)) do
    drop_ticket(id, 'deadline')
    count('timed_out')
  end
  if #routers > 0 then dispatch() end
end

-- Opens the account and brings it to the present; false where there is no such pool.
local function present()
  if not open() then return false end
  advance()
  return true
end

-- A router that holds something must have a lease, so that its death is noticed.
local function open_lease(router, max_queue_size)
  if not call('ZSCORE', ROUTERS, router) then
    call('ZADD', ROUTERS, S.now + ROUTER_LEASE, router)
    call('HSET', FLAGS, router, cmsgpack.pack('', tonumber(max_queue_size)))
  end
end
