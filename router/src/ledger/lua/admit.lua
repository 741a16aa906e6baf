-- What follows from the rules: a refusal, a slot, or a place in the queue.
open_lease(router, max_queue_size, pool_memory)
if reason then
  count(reason)
  local retry_after = 1
  if wait then retry_after = math.max(wait, 1) * math.max(S.attempts / WINDOW / drain, 1) end
  retry_after = math.min(math.max(retry_after * (0.5 + jitter), RETRY_AFTER_LEAST), RETRY_AFTER_MOST)
  local hopeless = wait and remaining <= S.p90
  -- The view spares the router a look of its own.
  return told('rejected\0' .. reason .. '\0' .. struct.pack('<dd', retry_after, hopeless and 1 or 0) .. view() .. figures)
end
count('admitted')
S.arrivals = math.max(S.now, S.arrivals + 1)
local a = { router = router, rank = rank, arrival = S.arrivals, entered = S.now, deadline = deadline, suspect = 0, avoid = '',
  prefer = ARGV[6] }
if free and queued == 0 then
  -- What waiting and being dispatched would come to, without the detour.
  own(id, router)
  local rare = machinery()
  return told(rare.occupy(id, a, rare.free_backend(a)) .. figures)
end
if rank == 0 then S.taken_high = S.taken_high + 1 end
if rank == 1 then S.taken_normal = S.taken_normal + 1 end
enqueue(id, a)
if free then
  local rare = machinery()
  rare.dispatch(id)
  return told(rare.standing(id, get_attempt(id)) .. figures)
end
return told(waits(ahead + 1, a) .. figures)
