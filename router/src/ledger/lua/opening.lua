-- An account that nothing has happened on: mirrors Pool::new.
local function create(now)
  S = { now = now, arrivals = 0, slots = 0, running = 0, abandoned = 0, q0 = 0, q1 = 0, q2 = 0, samples = 0, mean = 0,
    p90 = 0, releases = 0, busy = 0, taken_high = 0, taken_normal = 0, attempts = 0, last_reset = now, backend_seen = now,
    backend_slots = 0, bucket = 0, admitted = 0, finished = 0, free = 0, due = NEVER, skew = 0,
    recovery = 0, routers = 0, back = '' }
end
