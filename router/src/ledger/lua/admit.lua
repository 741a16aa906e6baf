-- What follows from the rules: a refusal, a slot, or a place in the queue.
open_lease(router, max_queue_size, pool_memory)
if limited then
  count('rate_limit_exceeded')
  limited = math.min(math.max(limited, RETRY_AFTER_LEAST), RETRY_AFTER_MOST)
  return told('rejected\0rate_limit_exceeded\0' .. struct.pack('<dd', limited, never and 1 or 0) .. figures
    .. callers().allowance(caller))
end
if reason then
  count(reason)
  local retry_after = 1
  if wait then retry_after = math.max(wait, 1) * math.max(S.attempts / WINDOW / drain, 1) end
  retry_after = math.min(math.max(retry_after * (0.5 + jitter), RETRY_AFTER_LEAST), RETRY_AFTER_MOST)
  local hopeless = wait and remaining <= S.p90
  -- The view spares the router a look of its own.
  local seen = caller and view(busy, 0, q0, q1, q2) or view(S.running, S.abandoned, q0, q1, q2)
  if caller then figures = figures .. callers().allowance(caller) end
  return told('rejected\0' .. reason .. '\0' .. struct.pack('<dd', retry_after, hopeless and 1 or 0) .. seen .. figures)
end
count('admitted')
local a = { router = router, rank = rank, entered = S.now, deadline = deadline, suspect = 0, avoid = '', prefer = ARGV[6],
  caller = ARGV[7], charged = 0 }
if caller then
  a.arrival, a.charged = callers().fair_place(caller)
  callers().charge(caller)
else
  S.arrivals = math.max(S.now, S.arrivals + 1)
  a.arrival = S.arrivals
end
local waiting = S.q0 + S.q1 + S.q2
if free and queued == 0 and waiting == 0 then
  -- What waiting and being dispatched would come to, without the detour.
  own(id, router)
  if caller then
    callers().comes(a, false)
    figures = figures .. callers().allowance(caller)
  end
  local rare = machinery()
  return told(rare.occupy(id, a, rare.free_backend(a)) .. figures)
end
if not (free and queued == 0) then
  if rank == 0 then S.taken_high = S.taken_high + 1 end
  if rank == 1 then S.taken_normal = S.taken_normal + 1 end
end
enqueue(id, a)
-- Tenants' places count on a clock of their own: behind them it need not be the last.
if not caller and not free and S.weights == 0 then return told(waits(ahead + 1, a) .. figures) end
if caller then figures = figures .. callers().allowance(caller) end
local rare = machinery()
if free then rare.dispatch(id) end
local reply = rare.standing(id, get_attempt(id)) .. figures
-- A tenant that has less than its part comes in although the queue is full; the last ticket makes room for it.
if caller and S.q0 + S.q1 + S.q2 > max_queue_size then expiry().make_room(1) end
return told(reply)
