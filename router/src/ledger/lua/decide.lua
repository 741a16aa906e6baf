-- The five rules: mirrors decide.rs and limits.rs. From a request's rank, remaining time, length, draw and limits to the reason of
-- its refusal; nil means rule 5, or rule 1 where a slot is free and nobody waits.
local ahead, share, taken = q0, 1, 0
if rank == 1 then
  ahead, share, taken = ahead + q1, threshold, S.taken_high
elseif rank == 2 then
  ahead, share, taken = ahead + q1 + q2, threshold * 0.5, S.taken_high + S.taken_normal
end
local free, queued = S.recovery == 0 and S.free > 0, q0 + q1 + q2
local held, queue_limit = busy + ahead, math.floor(max_queue_size * share)
local capacity, p = S.slots + queue_limit, 0
local start = rejection_start * capacity
if start < S.slots then start = S.slots end
if capacity > start then p = math.min(math.max((held - start) / (capacity - start), 0), 1) end
local figures = struct.pack('<dddddddd', S.slots, held, ahead, queued, queue_limit, capacity, p, draw)
-- Wait and budget are there once there is something to predict from.
local drain, wait, budget
if S.samples > 0 and S.slots > 0 then
  drain = (S.releases + PRIOR_RELEASES) / (S.busy + PRIOR_RELEASES * S.mean / S.slots)
  wait = (ahead + 1) / math.max(drain - taken / WINDOW, LEAST_SHARE * drain)
  local takes = S.p90
  if length >= 0 and S.attempts / WINDOW >= CROWDED * drain then takes = length end
  budget = math.min(remaining - takes, wait_share * remaining)
  figures = figures .. struct.pack('<ddddd', S.mean, S.p90, drain, wait, budget)
end
local reason
if S.slots <= 0 and S.now - S.backend_seen >= pool_memory then
  -- A cold pool holds its requests while a backend was seen lately, or is expected.
  reason = 'no_backend'
elseif free and queued <= 0 then
  reason = nil
elseif queued >= queue_limit then
  reason = 'queue_full'
elseif wait and wait > budget then
  reason = 'deadline'
elseif draw < p then
  reason = 'capacity'
end
