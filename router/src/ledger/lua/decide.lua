-- The five rules: mirrors decide.rs and limits.rs. `ask`: rank, remaining (s), length (s; below 0 where unknown), draw and
-- the limits.

-- What is decided on. Wait and budget are there once there is something to predict from.
local function numbers(ask)
  local ahead, share, taken = S.q0, 1, 0
  if ask.rank == 1 then
    ahead, share, taken = ahead + S.q1, ask.threshold, S.taken_high
  elseif ask.rank == 2 then
    ahead, share, taken = ahead + S.q1 + S.q2, ask.threshold * 0.5, S.taken_high + S.taken_normal
  end
  local held, queue_limit = S.running + S.abandoned + ahead, math.floor(ask.max_queue_size * share)
  local capacity = S.slots + queue_limit
  local wished, p = ask.rejection_start * capacity, 0
  local start = wished > S.slots and wished or S.slots
  if capacity > start then p = math.min(math.max((held - start) / (capacity - start), 0), 1) end
  local n = { slots = S.slots, held = held, ahead = ahead, queued = queued(), queue_limit = queue_limit, capacity = capacity,
    p = p, drain = false, wait = false, budget = false }
  if S.samples > 0 and S.slots > 0 then
    n.drain = (S.releases + PRIOR_RELEASES) / (S.busy + PRIOR_RELEASES * S.mean / S.slots)
    n.wait = (ahead + 1) / math.max(n.drain - taken / WINDOW, LEAST_SHARE * n.drain)
    local length = S.p90
    if ask.length >= 0 and S.attempts / WINDOW >= CROWDED * n.drain then length = ask.length end
    n.budget = math.min(ask.remaining - length, ask.wait_share * ask.remaining)
  end
  return n
end

-- The reason of a refusal by rules 1 to 4; nil means rule 5, or rule 1 where a slot is free and nobody waits.
local function rejects(n, ask, free)
  -- A cold pool holds its requests while a backend was seen lately, or is expected.
  if n.slots <= 0 and S.now - S.backend_seen >= ask.pool_memory then return 'no_backend' end
  if free and n.queued <= 0 then return nil end
  if n.queued >= n.queue_limit then return 'queue_full' end
  if n.wait and n.wait > n.budget then return 'deadline' end
  if ask.draw < n.p then return 'capacity' end
end

local function packed_numbers(n, ask)
  local out = struct.pack('<dddddddd', n.slots, n.held, n.ahead, n.queued, n.queue_limit, n.capacity, n.p, ask.draw)
  if not n.wait then return out end
  return out .. struct.pack('<ddddd', S.mean, S.p90, n.drain, n.wait, n.budget)
end
