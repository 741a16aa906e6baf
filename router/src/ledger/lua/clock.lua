-- Time passes, and what is due expires: mirrors Pool::advance.
-- The clock: what a test says, else Redis's own.
local function clock()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = call('TIME')
  return tonumber(time[1]) * SECOND + tonumber(time[2])
end

local function advance()
  local now = clock() + S.skew
  if now < S.now then
    -- A clock that was put back, or another one that is behind, goes on from here at its own pace.
    S.skew = S.skew + (S.now - now)
    now = S.now
  end
  elapse(S.now, now, S.slots > 0 and S.free == 0)
  S.now = now
  if S.due <= now then expire() end
end

-- Opens the account and brings it to the present; false where there is no such pool.
local function present()
  if not open() then return false end
  advance()
  return true
end
