-- The account of one pool in Redis: how it is laid out, read and written back.
-- A script is some of these files one after another: redis/source.rs says which, and puts the keys and the constants in place of
-- the words in capitals. Each file mirrors the one of the same name (or of the name said at its top) in the crate
-- tidegate-admission; random traces through both must agree. What is rarely needed stands in expiry.lua: to make a closure costs
-- as much as a call, and is paid by every call of the script.
--
-- POOL string: counts and estimates     QUEUE zset: attempt -> rank * PER_RANK + arrival
-- DEADLINES zset: waiting attempt -> us ATTEMPTS hash: attempt -> record
-- NODES hash: backend -> record         FREE zset: live backend with a free slot -> load
-- LEASES zset: backend -> us            ROUTERS zset: router -> end of its lease, us
-- OWNED zset: router NUL attempt        FLAGS hash: router -> what it goes by
-- ABANDONED zset: attempt -> us of the last proof that it runs
-- COUNTS hash: bucket:word -> count; of the present bucket's, POOL has those that nearly every call adds to
local call = redis.call
-- Counts and estimates as in Pool. Besides: free, how many backends stand in FREE; due, an instant before which nothing
-- expires; skew, us by which the clock was ever put back; back, the routers that a recovery has seen, each between two NULs;
-- bucket, admitted, finished: see COUNTS.
local S
local actions = {}

-- Reads the counts and estimates; false where there is no such pool.
local function open()
  local raw = call('GET', POOL)
  if not raw then return false end
  local now, arrivals, slots, running, abandoned, q0, q1, q2, samples, mean, p90, releases, busy, taken_high, taken_normal,
    attempts, last_reset, backend_seen, backend_slots, bucket, admitted, finished, free, due, skew, recovery, routers,
    back = cmsgpack.unpack(raw)
  S = { now = now, arrivals = arrivals, slots = slots, running = running, abandoned = abandoned, q0 = q0, q1 = q1, q2 = q2,
    samples = samples, mean = mean, p90 = p90, releases = releases, busy = busy, taken_high = taken_high,
    taken_normal = taken_normal, attempts = attempts, last_reset = last_reset, backend_seen = backend_seen,
    backend_slots = backend_slots, bucket = bucket, admitted = admitted, finished = finished, free = free, due = due,
    skew = skew, recovery = recovery, routers = routers, back = back }
  return true
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
    S.bucket, S.admitted, S.finished, S.free, S.due, S.skew, S.recovery, S.routers, S.back))
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

-- Counts one of something, or so many, in the present bucket.
local function count(word, many)
  local bucket = math.floor(S.now / BUCKET)
  if bucket ~= S.bucket then
    -- The bucket is over: what it counted here goes to the others, and those that are too old go.
    for _, field in ipairs({ 'admitted', 'finished' }) do
      if S[field] > 0 then call('HINCRBY', COUNTS, S.bucket .. ':' .. field, S[field]) end
      S[field] = 0
    end
    S.bucket = bucket
    for _, field in ipairs(call('HKEYS', COUNTS)) do
      if tonumber(string.match(field, '^%d+')) <= bucket - BUCKETS then call('HDEL', COUNTS, field) end
    end
  end
  if word == 'admitted' or word == 'finished' then
    S[word] = S[word] + 1
  else
    call('HINCRBY', COUNTS, bucket .. ':' .. word, many or 1)
  end
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
