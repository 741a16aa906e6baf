-- A router renews its lease as a whole. ARGV: router, number, flags, max_queue_size, pool_memory, reset interval us, how many
-- attempts it knows, those, then those that it asks for. One that comes twice, or late, only tells. Mirrors pool/lease.rs.
if not present() then return 'unknown' end
local router, number, reset_interval = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[8])
local last_known = 9 + tonumber(ARGV[9])

-- Its attempts that stay on the account.
local mine = {}

local function free_unknown()
  local known, forgotten = {}, {}
  for i = 10, last_known do known[ARGV[i]] = true end
  for _, id in ipairs(owned_by(router)) do
    local a = get_attempt(id)
    local suspect = known[id] and 0 or 1
    mine[id] = suspect == 0 or a.suspect == 0
    if not mine[id] then
      forgotten[#forgotten + 1] = id
    elseif suspect ~= a.suspect then
      a.suspect = suspect
      put_attempt(id, a)
    end
  end
  reclaim(forgotten)
end

-- Keys that hold nothing and have used nothing that still counts.
local function forget_idle_keys()
  local all = call('HGETALL', USAGE)
  for i = 1, #all, 2 do
    local at, _, _, held = cmsgpack.unpack(all[i + 1])
    if held == 0 and S.now - at >= KEY_MEMORY then call('HDEL', USAGE, all[i]) end
  end
end

local function reset()
  local stale = S.now - math.min(PROOF_LASTS, reset_interval)
  local unproven = call('ZRANGEBYSCORE', ABANDONED, '-inf', stale)
  mend('drift', #unproven)
  for _, id in ipairs(unproven) do
    remove(id, get_attempt(id))
    mine[id] = false
  end
  forget_idle_keys()
  S.last_reset = S.now
end

if is_news(router, number) then
  put_lease(router, number, ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]))
  free_unknown()
  if S.now - S.last_reset >= reset_interval then reset() end
else
  for _, id in ipairs(owned_by(router)) do mine[id] = true end
end
local granted, gone = {}, {}
for i = 10, last_known do
  if not mine[ARGV[i]] then gone[#gone + 1] = ARGV[i] end
end
for i = last_known + 1, #ARGV do
  local a = get_attempt(ARGV[i])
  if a and a.phase == 'r' then granted[#granted + 1] = grant_of(ARGV[i], a, get_node(a.backend)) end
end
dispatch()
local seen = roll(router)
save()
return { 'renewed\0' .. seen, granted, gone, answer }
