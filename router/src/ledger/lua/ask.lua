-- A request asks to come in. ARGV: attempt, router, packed rank, remaining us, length s (below 0 where unknown), draw,
-- jitter, max_queue_size, queue_rejection_threshold, rejection_start, wait_share and pool_memory, then the preferred
-- backend or nothing, and its caller or nothing. Mirrors Pool::admit, as decide.lua and admit.lua do.
if not present() then return 'unknown' end
local id, router = ARGV[3], ARGV[4]
local known = get_attempt(id)
if known then return told(machinery().standing(id, known)) end
local rank, remaining, length, draw, jitter, max_queue_size, threshold, rejection_start, wait_share, pool_memory =
  struct.unpack('<dddddddddd', ARGV[5])
local deadline = S.now + remaining
remaining = remaining / SECOND
local busy, q0, q1, q2 = S.running + S.abandoned, S.q0, S.q1, S.q2
-- With a key: whose it is, and in how many seconds its limits allow it, where they do not now.
local caller, limited, never
if ARGV[7] ~= '' then
  caller = callers().read(ARGV[7])
  limited, never = callers().limited(caller)
  busy, q0, q1, q2 = callers().seen(caller)
end
if not limited then S.attempts = S.attempts + 1 end
