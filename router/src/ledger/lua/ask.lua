-- A request asks to come in. ARGV: attempt, router, packed rank, remaining us, length s (below 0 where unknown), draw,
-- jitter, max_queue_size, queue_rejection_threshold, rejection_start, wait_share and pool_memory, then the preferred
-- backend or nothing. Mirrors Pool::admit, as decide.lua and admit.lua do.
if not present() then return 'unknown' end
local id, router = ARGV[3], ARGV[4]
local known = get_attempt(id)
if known then return told(machinery().standing(id, known)) end
local rank, remaining, length, draw, jitter, max_queue_size, threshold, rejection_start, wait_share, pool_memory =
  struct.unpack('<dddddddddd', ARGV[5])
local deadline = S.now + remaining
remaining = remaining / SECOND
S.attempts = S.attempts + 1
