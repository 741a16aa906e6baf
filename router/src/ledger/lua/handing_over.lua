-- What returning the only free slot and dispatching would come to, without the detour: the first ticket takes the slot over, and
-- the backend's counts stay as they are. False where it is not so simple.
local function hands_over(id, router, backend)
  if S.free > 0 or S.q0 + S.q1 + S.q2 == 0 or S.recovery ~= 0 then return false end
  local url, epoch, slots, draining, lease, running, abandoned = cmsgpack.unpack(call('HGET', NODES, backend))
  if lease < 0 or draining == 1 or running + abandoned > slots then return false end
  local first = call('ZRANGE', QUEUE, '0', '0')[1]
  local to, rank, arrival, entered, deadline, _, _, _, suspect, avoid, prefer, caller, charged =
    cmsgpack.unpack(call('HGET', ATTEMPTS, first))
  if avoid ~= '' then return false end
  call('HDEL', ATTEMPTS, id)
  call('ZREM', OWNED, router .. '\0' .. id)
  leave_queue(first, rank, caller)
  if caller ~= '' then S.turn = math.max(S.turn, arrival) end
  call('HSET', ATTEMPTS, first, cmsgpack.pack(to, rank, arrival, entered, deadline, 'r', backend, S.now, suspect, avoid, prefer,
    caller, charged))
  emit(to, grant(first, to, backend, url, epoch, rank, arrival, entered, deadline, S.now))
  return true
end
