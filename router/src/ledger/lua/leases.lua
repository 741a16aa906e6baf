-- The routers: mirrors pool/lease.rs.
-- Gives a router a new lease; `number` is that of what it says of itself as a whole.
local function put_lease(router, number, flags, max_queue_size, pool_memory)
  call('ZADD', ROUTERS, whole(S.now + ROUTER_LEASE), router)
  call('HSET', FLAGS, router, cmsgpack.pack(flags, max_queue_size, pool_memory, number))
  falls_due(S.now + ROUTER_LEASE)
end

-- A router that holds something must have a lease, so that its death is noticed.
local function open_lease(router, max_queue_size, pool_memory)
  if call('HEXISTS', FLAGS, router) == 0 then put_lease(router, 0, '', max_queue_size, pool_memory) end
end
