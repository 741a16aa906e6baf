-- The account as it stands. ARGV: view (counts and estimates only) or all; then what a router has refused by itself: each reason
-- and how many. Mirrors Pool::view, Pool::snapshot and Pool::refused.
if not present() then return 'unknown' end
for i = 4, #ARGV, 2 do
  S.attempts = S.attempts + tonumber(ARGV[i + 1])
  count(ARGV[i], tonumber(ARGV[i + 1]))
end
local seen = 'view\0' .. view(S.running, S.abandoned, S.q0, S.q1, S.q2)
if ARGV[3] == 'view' then return told(seen) end

local function totals()
  -- What POOL has of the present bucket goes to the others.
  if S.admitted > 0 then call('HINCRBY', COUNTS, S.bucket .. ':admitted', S.admitted) end
  if S.finished > 0 then call('HINCRBY', COUNTS, S.bucket .. ':finished', S.finished) end
  S.admitted, S.finished = 0, 0
  local fields, out = call('HGETALL', COUNTS), {}
  for i = 1, #fields, 2 do
    local bucket, word = string.match(fields[i], '^(%d+):(.*)$')
    if tonumber(bucket) > math.floor(S.now / BUCKET) - BUCKETS then out[#out + 1] = { word, fields[i + 1] } end
  end
  return out
end

local function backends()
  local ids, out = call('HKEYS', NODES), {}
  for _, id in ipairs(ids) do
    local n = get_node(id)
    local state = n.lease < 0 and 'gone' or n.draining == 1 and 'draining' or 'live'
    out[#out + 1] = { id, n.url, n.epoch, n.slots, n.running, n.abandoned, state }
  end
  return out
end

local function tickets()
  local out = {}
  for _, id in ipairs(call('ZRANGE', QUEUE, 0, -1)) do
    local a = get_attempt(id)
    -- Its time may be of an account that was lost, whose clock was ahead.
    out[#out + 1] = { id, a.router, a.rank, math.max(S.now - a.entered, 0) }
  end
  return out
end

local function routers()
  local all, out = call('ZRANGE', ROUTERS, 0, -1, 'WITHSCORES'), {}
  for i = 1, #all, 2 do
    local flags = cmsgpack.unpack(call('HGET', FLAGS, all[i]))
    out[#out + 1] = { all[i], S.now + ROUTER_LEASE - tonumber(all[i + 1]), flags }
  end
  return out
end

local whole_account = { seen, totals(), backends(), tickets(), routers(), answer }
save()
return whole_account
