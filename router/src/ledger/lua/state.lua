-- The account of one pool in Redis: how it is laid out, read and written back.
-- Every script is this file, the other parts in their order, and one file of its own event. Each mirrors the file of the
-- same name (or of the name said at its top) in the crate tidegate-admission; random traces through both must agree.
--
-- POOL string: counts and estimates     QUEUE zset: attempt -> rank * 2^51 + arrival
-- DEADLINES zset: waiting attempt -> us ATTEMPTS hash: attempt -> record
-- NODES hash: backend -> record         FREE zset: live backend with a free slot -> load
-- LEASES zset: backend -> us            ON zset: backend NUL attempt, for all that holds a slot
-- OWNED zset: router NUL attempt        ROUTERS zset: router -> end of its lease, us
-- FLAGS hash: router -> what it goes by  ABANDONED zset: attempt -> us of the last proof that it runs
-- COUNTS hash: bucket:word -> count
local POOL, QUEUE, DEADLINES, ATTEMPTS, NODES, FREE, LEASES, ON, OWNED, ROUTERS, FLAGS, ABANDONED, COUNTS =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local CHANNEL = ARGV[2]
local call = redis.call

local SECOND = 1000000
local ROUTER_LEASE, BACKEND_LEASE, PROOF_LASTS, POOL_MEMORY = 5 * SECOND, 5 * SECOND, 5 * SECOND, 60 * SECOND
local BUCKET, BUCKETS = 5 * SECOND, 12
local PER_RANK, NEVER = 2251799813685248, 9007199254740992

-- Counts and estimates as in Pool. Besides: free, how many backends stand in FREE; due, an instant before which nothing
-- expires; back, the routers that a recovery has seen, each between two NULs.
local S = { now = 0, arrivals = 0, slots = 0, running = 0, abandoned = 0, q0 = 0, q1 = 0, q2 = 0, samples = 0, mean = 0,
  p90 = 0, releases = 0, busy = 0, taken_high = 0, taken_normal = 0, attempts = 0, last_reset = 0, backend_seen = 0,
  backend_slots = 0, bucket = 0, free = 0, due = 0, recovery = 0, routers = 0, back = '' }
local actions = {}

-- The clock: what a test says, else Redis's own.
local function clock()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = call('TIME')
  return tonumber(time[1]) * SECOND + tonumber(time[2])
end

-- Reads the counts and estimates; false where there is no such pool.
local function open()
  local raw = call('GET', POOL)
  if not raw then return false end
  S.now, S.arrivals, S.slots, S.running, S.abandoned, S.q0, S.q1, S.q2, S.samples, S.mean, S.p90, S.releases, S.busy,
    S.taken_high, S.taken_normal, S.attempts, S.last_reset, S.backend_seen, S.backend_slots, S.bucket, S.free, S.due,
    S.recovery, S.routers, S.back = cmsgpack.unpack(raw)
  return true
end

-- An account that nothing has happened on.
local function create(now)
  S.now, S.last_reset, S.backend_seen, S.due = now, now, now, NEVER
end

-- Whether nothing is left of a pool, and nobody remembers it.
local function forgettable()
  local unseen = S.now - S.backend_seen
  if S.slots > 0 or unseen < POOL_MEMORY or call('HLEN', NODES) > 0 or call('HLEN', ATTEMPTS) > 0 then return false end
  for _, raw in ipairs(call('HVALS', FLAGS)) do
    local _, _, pool_memory = cmsgpack.unpack(raw)
    if unseen < pool_memory then return false end
  end
  return true
end

-- Writes the counts and estimates back, or forgets the pool.
local function save()
  if forgettable() then
    call('DEL', unpack(KEYS))
    return
  end
  call('SET', POOL, cmsgpack.pack(S.now, S.arrivals, S.slots, S.running, S.abandoned, S.q0, S.q1, S.q2, S.samples, S.mean,
    S.p90, S.releases, S.busy, S.taken_high, S.taken_normal, S.attempts, S.last_reset, S.backend_seen, S.backend_slots,
    S.bucket, S.free, S.due, S.recovery, S.routers, S.back))
end

-- Something will be due then.
local function falls_due(at)
  if at < S.due then S.due = at end
end

-- Whether slots may be given out at all.
local function grants()
  return S.recovery == 0
end

-- Tells a router what became of its ticket, and the caller as well. Numbers leave as packed doubles: as numbers Redis would
-- cut them to integers.
local function emit(router, action)
  actions[#actions + 1] = action
  call('PUBLISH', CHANNEL .. router, action)
end

-- Counts one of something, or so many, in the present bucket, and forgets the buckets that are too old.
local function count(word, many)
  local bucket = math.floor(S.now / BUCKET)
  if bucket ~= S.bucket then
    S.bucket = bucket
    for _, field in ipairs(call('HKEYS', COUNTS)) do
      if tonumber(string.match(field, '^%d+')) <= bucket - BUCKETS then call('HDEL', COUNTS, field) end
    end
  end
  call('HINCRBY', COUNTS, bucket .. ':' .. word, many or 1)
end

local function get_attempt(id)
  local raw = call('HGET', ATTEMPTS, id)
  if not raw then return nil end
  local router, rank, arrival, entered, deadline, phase, backend, since, suspect, avoid, prefer = cmsgpack.unpack(raw)
  return { router = router, rank = rank, arrival = arrival, entered = entered, deadline = deadline, phase = phase,
    backend = backend, since = since, suspect = suspect, avoid = avoid, prefer = prefer }
end

local function put_attempt(id, a)
  call('HSET', ATTEMPTS, id, cmsgpack.pack(a.router, a.rank, a.arrival, a.entered, a.deadline, a.phase, a.backend,
    a.since, a.suspect, a.avoid, a.prefer))
end

local function get_node(id)
  local raw = call('HGET', NODES, id)
  if not raw then return nil end
  local url, epoch, slots, draining, lease, running, abandoned = cmsgpack.unpack(raw)
  return { url = url, epoch = epoch, slots = slots, draining = draining, lease = lease, running = running,
    abandoned = abandoned }
end

local function put_node(id, n)
  call('HSET', NODES, id, cmsgpack.pack(n.url, n.epoch, n.slots, n.draining, n.lease, n.running, n.abandoned))
end
