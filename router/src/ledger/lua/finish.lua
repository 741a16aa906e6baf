-- An attempt ends. ARGV: what (release, cancel, abandon, confirm), attempt, end. Mirrors pool/finish.rs.
if not present() then return { { 'unknown' }, {} } end
local what, id, ending = ARGV[3], ARGV[4], ARGV[5]
local a = get_attempt(id)
local phase = a and a.phase

-- What returning the only free slot and dispatching would come to, without the detour: the first ticket takes the slot over, and
-- the backend's counts stay as they are. False where it is not so simple.
local function hand_over()
  if S.free > 0 or queued() == 0 or not grants() then return false end
  local n = get_node(a.backend)
  if n.running + n.abandoned > offers(n) then return false end
  local first = call('ZRANGE', QUEUE, 0, 0)[1]
  local ticket = get_attempt(first)
  if avoids(ticket.avoid, a.backend, n) then return false end
  call('HDEL', ATTEMPTS, id)
  call('ZREM', OWNED, a.router .. '\0' .. id)
  leave_queue(first, ticket)
  ticket.phase, ticket.backend, ticket.since = 'r', a.backend, S.now
  put_attempt(first, ticket)
  emit(ticket.router, grant_of(first, ticket, n))
  return true
end

if phase == 'a' then
  if what == 'release' or what == 'confirm' then slot_returns(id, a) end
elseif phase == 'r' and what == 'release' then
  if ending == 'finished' then served(S.now - a.since) end
  if S.slots > 0 and S.free == 0 then S.releases = S.releases + 1 end
  if not hand_over() then remove(id, a) end
  count(ending)
elseif phase == 'r' and what == 'abandon' then
  mark_abandoned(id, a)
  count(ending)
elseif a and what ~= 'confirm' then
  remove(id, a)
  count(ending)
end
dispatch()
save()
return { { 'done' }, actions }
