-- The backends: mirrors pool/nodes.rs and the record Node.
local function get_node(id)
  local raw = call('HGET', NODES, id)
  if not raw then return nil end
  local url, epoch, slots, draining, lease, running, abandoned = cmsgpack.unpack(raw)
  return { url = url, epoch = epoch, slots = slots, draining = draining, lease = lease, running = running,
    abandoned = abandoned }
end

local function put_node(id, n)
  call('HSET', NODES, id, cmsgpack.pack(n.url, n.epoch, n.slots, n.draining, n.lease, n.running, n.abandoned))
end

local function offers(n)
  if n.lease < 0 or n.draining == 1 then return 0 end
  return n.slots
end

-- Whether a ticket avoids this life of a backend. Lives are kept as NUL life NUL life NUL.
local function avoids(avoid, id, n)
  return avoid ~= '' and string.find(avoid, '\0' .. id .. '\n' .. n.epoch .. '\0', 1, true) ~= nil
end

-- Changes a backend by so many that run and that are abandoned, and with it the order of the free ones. One that has gone is
-- forgotten once nothing is left on it.
local function shift_node(id, running, abandoned)
  local n = get_node(id)
  if not n then return end
  n.running, n.abandoned = n.running + running, n.abandoned + abandoned
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
