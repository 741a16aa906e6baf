-- The five rules: mirrors decide.rs and limits.rs. `ask`: rank, remaining (s), draw, jitter and the limits.
local LEAST_SHARE = 0.02

local function share(ask)
  if ask.rank == 0 then return 1 end
  if ask.rank == 1 then return ask.threshold end
  return ask.threshold * 0.5
end

local function probability(held, slots, capacity, rejection_start)
  local wished = rejection_start * capacity
  local start = wished > slots and wished or slots
  if capacity <= start then return 0 end
  local p = (held - start) / (capacity - start)
  if p < 0 then return 0 end
  if p > 1 then return 1 end
  return p
end

local function taken_above(rank)
  if rank == 0 then return 0 end
  if rank == 1 then return S.taken_high end
  return S.taken_high + S.taken_normal
end

-- Adds the predicted wait and the budget, once there is something to predict from.
local function measure(n, ask)
  if S.samples <= 0 or S.slots == 0 then return end
  n.drain = drain_rate()
  local left = n.drain - taken_above(ask.rank) / WINDOW
  local least = LEAST_SHARE * n.drain
  n.wait = (n.ahead + 1) / (left > least and left or least)
  local affordable, part = ask.remaining - S.p90, ask.wait_share * ask.remaining
  n.budget = affordable < part and affordable or part
end

local function numbers(ask)
  local ahead = S.q0
  if ask.rank >= 1 then ahead = ahead + S.q1 end
  if ask.rank >= 2 then ahead = ahead + S.q2 end
  local n = { slots = S.slots, ahead = ahead, held = S.running + S.abandoned + ahead, queued = queued() }
  n.queue_limit = math.floor(ask.max_queue_size * share(ask))
  n.capacity = n.slots + n.queue_limit
  n.p = probability(n.held, n.slots, n.capacity, ask.rejection_start)
  measure(n, ask)
  return n
end

-- The reason of a refusal by rules 1 to 4; nil means rule 5, or rule 1 where a slot is free and nobody waits.
local function rejects(n, ask, free)
  if n.slots <= 0 and not holds(ask.pool_memory) then return 'no_backend' end
  if free and n.queued <= 0 then return nil end
  if n.queued >= n.queue_limit then return 'queue_full' end
  if n.wait and n.wait > n.budget then return 'deadline' end
  if ask.draw < n.p then return 'capacity' end
end

local function retry_after(n, jitter)
  local wait, overload = 1, 1
  if n.wait then
    wait, overload = math.max(n.wait, 1), math.max(S.attempts / WINDOW / n.drain, 1)
  end
  return math.min(math.max(wait * overload * (0.5 + jitter), 0.5), 60)
end

local function packed_numbers(n, ask)
  local out = struct.pack('<dddddddd', n.slots, n.held, n.ahead, n.queued, n.queue_limit, n.capacity, n.p, ask.draw)
  if not n.wait then return out end
  return out .. struct.pack('<ddddd', S.mean, S.p90, n.drain, n.wait, n.budget)
end
