-- Counts and estimates as a router reads them: mirrors Pool::view.
local function view(running, abandoned, q0, q1, q2)
  return struct.pack('<ddddddddddddddddddd', S.recovery == 0 and S.free > 0 and 1 or 0, S.now, S.slots, running, abandoned,
    q0, q1, q2, S.samples, S.mean, S.p90, S.releases, S.busy, S.taken_high, S.taken_normal, S.attempts, S.last_reset,
    S.backend_seen, S.backend_slots)
end
