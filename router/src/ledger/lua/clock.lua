-- Time passes, and what is due expires: mirrors Pool::advance and Estimate::elapse.
-- The clock: what a test says, else Redis's own.
local function clock()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = call('TIME')
  -- Text becomes a number where it is calculated with.
  return time[1] * SECOND + time[2]
end

local function advance()
  local at, now = S.now, clock() + S.skew
  if now < at then
    -- A clock that was put back, or another one that is behind, goes on from here at its own pace.
    S.skew = S.skew + (at - now)
    now = at
  end
  local all_busy, second, last = S.slots > 0 and S.free == 0, math.floor(at / SECOND), math.floor(now / SECOND)
  if second < last then
    -- Whole seconds went by: what decays does so at each boundary.
    local function scale(factor)
      S.releases, S.busy, S.attempts = S.releases * factor, S.busy * factor, S.attempts * factor
      S.taken_high, S.taken_normal = S.taken_high * factor, S.taken_normal * factor
    end
    if last - second >= FORGET_AFTER then
      scale(0)
      second, at = last, last * SECOND
    end
    while second < last do
      second = second + 1
      if all_busy then S.busy = S.busy + (second * SECOND - at) / SECOND end
      scale(DECAY)
      at = second * SECOND
    end
  end
  if all_busy then S.busy = S.busy + (now - at) / SECOND end
  S.now = now
  if S.due <= now then expire() end
end

-- Opens the account and brings it to the present; false where there is no such pool.
local function present()
  if not open() then return false end
  advance()
  return true
end
