-- A request asks to come in. ARGV: attempt, router, rank, remaining us, draw, jitter, max_queue_size,
-- queue_rejection_threshold, rejection_start, wait_share, pool_memory, preferred backend or nothing. Mirrors Pool::admit.
if not present() then return { { 'unknown' }, {} } end
local id, router = ARGV[3], ARGV[4]
local known = get_attempt(id)
if known then
  save()
  return { standing(id, known), actions }
end
local ask = { rank = tonumber(ARGV[5]), draw = tonumber(ARGV[7]), jitter = tonumber(ARGV[8]),
  remaining = tonumber(ARGV[6]) / SECOND, max_queue_size = tonumber(ARGV[9]), threshold = tonumber(ARGV[10]),
  rejection_start = tonumber(ARGV[11]), wait_share = tonumber(ARGV[12]), pool_memory = tonumber(ARGV[13]) }
open_lease(router, ARGV[9], ARGV[13])
S.attempts = S.attempts + 1
local free = grants() and S.free > 0
local n = numbers(ask)
local figures = packed_numbers(n, ask)
local reason = rejects(n, ask, free)
if reason then
  count(reason)
  local hopeless = n.wait and ask.remaining <= S.p90
  local refusal = { 'rejected', reason, struct.pack('<d', retry_after(n, ask.jitter)), hopeless and 1 or 0 }
  save()
  return { refusal, actions, figures }
end
count('admitted')
S.arrivals = math.max(S.now, S.arrivals + 1)
local a = { router = router, rank = ask.rank, arrival = S.arrivals, entered = S.now, deadline = S.now + tonumber(ARGV[6]),
  suspect = 0, avoid = '', prefer = ARGV[14] }
local reply
if free and queued() == 0 then
  -- What waiting and being dispatched would come to, without the detour.
  call('ZADD', OWNED, 0, router .. '\0' .. id)
  reply = { 'granted', occupy(id, a, free_backend(a)) }
else
  if ask.rank == 0 then S.taken_high = S.taken_high + 1 end
  if ask.rank == 1 then S.taken_normal = S.taken_normal + 1 end
  enqueue(id, a)
  dispatch(id)
  reply = standing(id, get_attempt(id))
end
save()
return { reply, actions, figures }
