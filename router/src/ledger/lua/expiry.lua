-- What is due expires, and whatever else is rarely needed: mirrors pool/clock.rs, and parts of lease.rs and reentry.rs.
-- Changes what a backend is: its slots count from now on as `change` leaves it.
local function change_node(id, change)
  local n = get_node(id)
  if not n then return end
  S.slots = S.slots - offers(n)
  change(n)
  S.slots = S.slots + offers(n)
  put_node(id, n)
  shift_node(id, 0, 0)
end

local function retire(id)
  change_node(id, function(n) n.lease = -1 end)
  call('ZREM', LEASES, id)
  -- What was given up on it is looked through when time passes next.
  falls_due(S.now)
end

-- The attempts of a router.
local function owned_by(router)
  local found = {}
  for _, member in ipairs(call('ZRANGEBYLEX', OWNED, '[' .. router .. '\0', '(' .. router .. '\1')) do
    found[#found + 1] = string.sub(member, #router + 2)
  end
  return found
end

-- Says what should not have been, behind what became of tickets: for people, and published to nobody. Mirrors Mended.
local function mend(what, many)
  if many > 0 then answer[#answer + 1] = 'mended\0' .. what .. '\0' .. many end
end

-- Takes attempts back that nobody gave back.
local function reclaim(ids)
  local tickets = 0
  for _, id in ipairs(ids) do
    local a = get_attempt(id)
    if a.phase == 'q' then tickets = tickets + 1 end
    remove(id, a)
  end
  mend('tickets', tickets)
  mend('slots', #ids - tickets)
end

local function begin_recovery(routers)
  if S.recovery == 0 then
    S.recovery, S.routers, S.back = S.now + ROUTER_LEASE, routers, ''
    falls_due(S.recovery)
  end
  S.routers = math.max(S.routers, routers)
end

local function reap(router)
  reclaim(owned_by(router))
  mend('routers', 1)
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

local function drop_ticket(id, reason)
  local a = get_attempt(id)
  if a.caller ~= '' then callers().refund(a) end
  remove(id, a)
  emit(a.router, 'drop\0' .. id .. '\0' .. a.router .. '\0' .. reason)
end

-- Tickets that the most generous router allows.
local function largest_limit()
  local largest = 0
  for _, raw in ipairs(call('HVALS', FLAGS)) do
    local _, max_queue_size = cmsgpack.unpack(raw)
    largest = math.max(largest, max_queue_size)
  end
  return largest
end

-- So many of the last tickets go, at most, where one that came back, or the death of a router, made the queue longer than any
-- router allows. What re-entered beyond the limit stays.
local function make_room(most)
  local largest = largest_limit()
  for _ = 1, most do
    if S.q0 + S.q1 + S.q2 <= largest then return end
    drop_ticket(call('ZREVRANGE', QUEUE, 0, 0)[1], 'queue_full')
    count('failed')
  end
end

-- The instant before which nothing expires, looked up anew.
local function next_due()
  S.due = S.recovery == 0 and NEVER or S.recovery
  for _, set in ipairs({ LEASES, ROUTERS, DEADLINES }) do
    local first = call('ZRANGE', set, 0, 0, 'WITHSCORES')
    if first[2] then falls_due(tonumber(first[2])) end
  end
  local proof = call('ZRANGEBYSCORE', ABANDONED, '(' .. whole(S.now - PROOF_LASTS), '+inf', 'WITHSCORES',
    'LIMIT', 0, 1)
  if proof[2] then falls_due(tonumber(proof[2]) + PROOF_LASTS) end
end

local function expire_all()
  local function due(set)
    return call('ZRANGEBYSCORE', set, '-inf', S.now)
  end
  local gone = due(LEASES)
  mend('backends', #gone)
  for _, id in ipairs(gone) do retire(id) end
  stop_on_gone_backends()
  local routers, allowed = due(ROUTERS), 0
  if #routers > 0 then allowed = largest_limit() end
  for _, router in ipairs(routers) do reap(router) end
  -- All of them at once: it was the account that was away, and the routers still hold what they held.
  if #routers > 1 and call('ZCARD', ROUTERS) == 0 then begin_recovery(#routers) end
  if S.recovery ~= 0 and S.recovery <= S.now then S.recovery = 0 end
  for _, id in ipairs(due(DEADLINES)) do
    drop_ticket(id, 'deadline')
    count('timed_out')
  end
  dispatch()
  if #routers > 0 then make_room(allowed - largest_limit()) end
  next_due()
end
