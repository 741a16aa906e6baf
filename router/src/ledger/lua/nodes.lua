-- The backends: mirrors pool/nodes.rs and the record Node.
local function offers(n)
  if n.lease < 0 or n.draining == 1 then return 0 end
  return n.slots
end

local function life(id, n)
  return id .. '\n' .. n.epoch
end

-- Lives that a ticket avoids are kept as NUL life NUL life NUL.
local function avoids(avoid, id, n)
  return avoid ~= '' and string.find(avoid, '\0' .. life(id, n) .. '\0', 1, true) ~= nil
end

-- Changes a backend, and with it the pool's slots and the order of the free ones. One that has gone is forgotten once nothing
-- is left on it.
local function change_node(id, change)
  local n = get_node(id)
  if not n then return end
  S.slots = S.slots - offers(n)
  change(n)
  S.slots = S.slots + offers(n)
  local used = n.running + n.abandoned
  if used < offers(n) then
    S.free = S.free + call('ZADD', FREE, used / n.slots, id)
  else
    S.free = S.free - call('ZREM', FREE, id)
  end
  if n.lease < 0 and used == 0 then
    call('HDEL', NODES, id)
  else
    put_node(id, n)
  end
  return n
end

local function retire(id)
  change_node(id, function(n) n.lease = -1 end)
  call('ZREM', LEASES, id)
  -- What was given up on it is looked through when time passes next.
  falls_due(S.now)
end
