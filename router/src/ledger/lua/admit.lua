-- A request asks to come in. ARGV: attempt, router, packed rank, remaining us, length s (below 0 where unknown), draw,
-- jitter, max_queue_size, queue_rejection_threshold, rejection_start, wait_share and pool_memory, then the preferred
-- backend or nothing. Mirrors Pool::admit.
if not present() then return { { 'unknown' }, {} } end
local id, router = ARGV[3], ARGV[4]
local rank, remaining, length, draw, jitter, max_queue_size, threshold, rejection_start, wait_share, pool_memory =
  struct.unpack('<dddddddddd', ARGV[5])
local ask = { rank = rank, remaining = remaining / SECOND, length = length, draw = draw, max_queue_size = max_queue_size,
  threshold = threshold, rejection_start = rejection_start, wait_share = wait_share, pool_memory = pool_memory }
local known = get_attempt(id)
if known then
  save()
  return { standing(id, known), actions }
end
S.attempts = S.attempts + 1
local free = grants() and S.free > 0
local n = numbers(ask)
local reason = rejects(n, ask, free)
open_lease(router, max_queue_size, pool_memory)
local figures = packed_numbers(n, ask)
if reason then
  count(reason)
  local wait, overload = 1, 1
  if n.wait then
    wait, overload = math.max(n.wait, 1), math.max(S.attempts / WINDOW / n.drain, 1)
  end
  local retry_after = math.min(math.max(wait * overload * (0.5 + jitter), RETRY_AFTER_LEAST), RETRY_AFTER_MOST)
  local hopeless = n.wait and ask.remaining <= S.p90
  save()
  return { { 'rejected', reason, struct.pack('<d', retry_after), hopeless and 1 or 0 }, actions, figures }
end
count('admitted')
S.arrivals = math.max(S.now, S.arrivals + 1)
local a = { router = router, rank = rank, arrival = S.arrivals, entered = S.now, deadline = S.now + remaining, suspect = 0,
  avoid = '', prefer = ARGV[6] }
own(id, router)
local reply
if free and n.queued == 0 then
  -- What waiting and being dispatched would come to, without the detour.
  reply = { 'granted', occupy(id, a, free_backend(a)) }
else
  if rank == 0 then S.taken_high = S.taken_high + 1 end
  if rank == 1 then S.taken_normal = S.taken_normal + 1 end
  enqueue(id, a)
  if free then
    dispatch(id)
    reply = standing(id, get_attempt(id))
  else
    reply = { 'queued', n.ahead + 1, place_of(a) }
  end
end
save()
return { reply, actions, figures }
