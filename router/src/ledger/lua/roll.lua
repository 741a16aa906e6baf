-- The routers as one of them sees them: whether the account recovers, the clock, how many there are, and how many come before it. Mirrors Pool::roll.
local function roll(router)
  local rank, routers = 0, call('ZRANGE', ROUTERS, 0, -1)
  for _, other in ipairs(routers) do
    if other < router then rank = rank + 1 end
  end
  return struct.pack('<dddd', S.recovery ~= 0 and 1 or 0, S.now, #routers, rank)
end
