-- A backend registers, goes or reports. ARGV: what (put, remove, reconcile), id, then epoch, url, slots, draining for put, or
-- the attempts that it holds for reconcile. Mirrors pool/nodes.rs.
local what, id = ARGV[3], ARGV[4]
if not open() then
  if what ~= 'put' then return 'unknown' end
  create(clock())
end
advance()

local function put()
  local epoch, url, slots, draining = ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
  local n = get_node(id)
  -- A registration of a former life that comes late.
  if n and n.lease >= 0 and epoch < n.epoch then return end
  if n and n.epoch ~= epoch then
    -- Another life: what the old one ran has stopped. That is rare enough to look through all attempts.
    for _, attempt in ipairs(call('HKEYS', ATTEMPTS)) do
      local a = get_attempt(attempt)
      if a.backend == id then remove(attempt, a) end
    end
    retire(id)
    n = nil
  end
  S.backend_seen, S.backend_slots = S.now, slots
  if not n then
    put_node(id, { url = '', epoch = epoch, slots = 0, draining = 0, lease = -1, running = 0, abandoned = 0 })
  end
  change_node(id, function(node)
    node.url, node.slots, node.draining, node.lease = url, slots, draining, S.now + BACKEND_LEASE
  end)
  call('ZADD', LEASES, whole(S.now + BACKEND_LEASE), id)
  falls_due(S.now + BACKEND_LEASE)
end

local function reconcile()
  local n, held = get_node(id), {}
  if not n or n.abandoned == 0 then return end
  for i = 5, #ARGV do held[ARGV[i]] = true end
  for _, attempt in ipairs(call('ZRANGE', ABANDONED, 0, -1)) do
    local a = get_attempt(attempt)
    if a.backend == id and held[attempt] then
      a.since = S.now
      put_attempt(attempt, a)
      call('ZADD', ABANDONED, whole(S.now), attempt)
    elseif a.backend == id then
      slot_returns(attempt, a)
    end
  end
end

if what == 'put' then put() elseif what == 'reconcile' then reconcile() end
if what == 'remove' then
  retire(id)
  stop_on_gone_backends()
end
dispatch()
return told('done')
