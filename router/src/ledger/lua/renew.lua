-- A router renews its lease as a whole. ARGV: router, flags, max_queue_size, reset interval us, how many attempts it knows, those,
-- then those that it asks for. Mirrors pool/lease.rs.
if not present() then return { { 'unknown' }, {} } end
local router, flags, max_queue_size, reset_interval = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local last_known = 7 + tonumber(ARGV[7])
call('ZADD', ROUTERS, S.now + ROUTER_LEASE, router)
call('HSET', FLAGS, router, cmsgpack.pack(flags, max_queue_size))

local function free_unknown()
  local known = {}
  for i = 8, last_known do known[ARGV[i]] = true end
  for _, id in ipairs(members(OWNED, router)) do
    local a = get_attempt(id)
    local suspect = known[id] and 0 or 1
    if suspect == 1 and a.suspect == 1 then
      remove(id, a)
    elseif suspect ~= a.suspect then
      a.suspect = suspect
      put_attempt(id, a)
    end
  end
end

local function reset()
  local stale = S.now - math.min(PROOF_LASTS, reset_interval)
  for _, id in ipairs(call('ZRANGEBYSCORE', ABANDONED, '-inf', stale)) do remove(id, get_attempt(id)) end
  S.last_reset = S.now
end

free_unknown()
if S.now - S.last_reset >= reset_interval then reset() end
local granted, gone = {}, {}
for i = last_known + 1, #ARGV do
  local a = get_attempt(ARGV[i])
  if not a then
    gone[#gone + 1] = ARGV[i]
  elseif a.phase == 'r' then
    granted[#granted + 1] = standing(ARGV[i], a)
  end
end
dispatch()
save()
return { { 'renewed', granted, gone }, actions }
