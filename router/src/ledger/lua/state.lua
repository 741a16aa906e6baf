-- The account of one pool in Redis: how it is laid out, read and written back.
-- A script is some of these files one after another: redis/source.rs says which, and puts the keys and the constants in place of
-- the words in capitals. Each file mirrors the one of the same name (or of the name said at its top) in the crate
-- tidegate-admission; random traces through both must agree.
--
-- What Redis spends on a call is not the rules but what stands around them. So: what most calls do without is made by those that
-- need it (machinery.lua), since to define a function costs as much as a command; numbers go to commands as text, since Redis
-- writes them out with 17 digits; and a caller is told one string, since a list costs five times as much.
--
-- POOL string: counts and estimates     QUEUE zset: attempt -> rank * PER_RANK + arrival
-- DEADLINES zset: waiting attempt -> us ATTEMPTS hash: attempt -> record
-- NODES hash: backend -> record         FREE zset: live backend with a free slot -> load
-- LEASES zset: backend -> us            ROUTERS zset: router -> end of its lease, us
-- OWNED zset: router NUL attempt        FLAGS hash: router -> what it goes by
-- ABANDONED zset: attempt -> us of the last proof that it runs
-- USAGE hash: key -> what it used        TENANTS hash: tenant -> what it has
-- COUNTS hash: bucket:word -> count; of the present bucket's, POOL has those that nearly every call adds to
local call = redis.call
-- Counts and estimates as in Pool: `S.name` is a place in an array, redis/source.rs says which. Besides: free, how many backends
-- stand in FREE; due, an instant before which nothing expires; recovery, its end, 0 where slots are given out; skew, us by which
-- the clock was ever put back; back, the routers that a recovery has seen, each between two NULs; weights, turn, costs, cost: see Pool; bucket, admitted, finished: see
-- COUNTS.
local S
-- Whether a tenant's last request has gone in this call.
local parted
-- What the script answers: first what the caller is told, then what became of tickets, of all routers.
local answer = { '' }

-- Reads the counts and estimates; false where there is no such pool.
local function open()
  local raw = call('GET', POOL)
  if not raw then return false end
  S = { struct.unpack(FIGURES, raw) }
  -- In its place stands where the packed numbers end.
  S.back = string.sub(raw, S.back)
  return true
end

-- Writes the counts and estimates back, or forgets the pool where nothing is left of it and nobody remembers it.
local function save()
  if parted and S.weights == 0 then
    -- No tenant has anything: all begin anew. Mirrors Pool::begin_anew.
    call('DEL', TENANTS)
    S.turn = 0
  end
  local unseen = S.now - S.backend_seen
  if S.slots <= 0 and unseen >= POOL_MEMORY and call('HLEN', NODES) == 0 and call('HLEN', ATTEMPTS) == 0 then
    local remembered = false
    for _, raw in ipairs(call('HVALS', FLAGS)) do
      local _, _, pool_memory = cmsgpack.unpack(raw)
      remembered = remembered or unseen < pool_memory
    end
    if not remembered then return call('DEL', unpack(KEYS)) end
  end
  call('SET', POOL, struct.pack(FIGURES_AND_REST, unpack(S)))
end

-- The answer to the caller, as a string alone where nothing became of any ticket.
local function told(head)
  save()
  if not answer[2] then return head end
  answer[1] = head
  return answer
end

-- Counts one of something, or so many, in the present bucket.
local function count(word, many)
  local bucket = math.floor(S.now / BUCKET)
  if bucket ~= S.bucket then
    -- The bucket is over: what it counted here goes to the others, and those that are too old go.
    if S.admitted > 0 then call('HINCRBY', COUNTS, S.bucket .. ':admitted', S.admitted) end
    if S.finished > 0 then call('HINCRBY', COUNTS, S.bucket .. ':finished', S.finished) end
    S.bucket, S.admitted, S.finished = bucket, 0, 0
    for _, field in ipairs(call('HKEYS', COUNTS)) do
      if tonumber(string.match(field, '^%d+')) <= bucket - BUCKETS then call('HDEL', COUNTS, field) end
    end
  end
  if word == 'admitted' then
    S.admitted = S.admitted + 1
  elseif word == 'finished' then
    S.finished = S.finished + 1
  else
    call('HINCRBY', COUNTS, bucket .. ':' .. word, many or 1)
  end
end
