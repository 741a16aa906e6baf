-- What is measured: mirrors estimate.rs.
-- Whole seconds went by: what decays does so at each boundary.
local function elapse(from, to, all_busy)
  local at, last = from, math.floor(to / SECOND)
  if last > math.floor(from / SECOND) then
    local function scale(factor)
      S.releases = S.releases * factor
      S.busy = S.busy * factor
      S.taken_high = S.taken_high * factor
      S.taken_normal = S.taken_normal * factor
      S.attempts = S.attempts * factor
    end
    if last - math.floor(from / SECOND) >= FORGET_AFTER then
      scale(0)
      at = last * SECOND
    end
    while math.floor(at / SECOND) < last do
      local boundary = (math.floor(at / SECOND) + 1) * SECOND
      if all_busy then S.busy = S.busy + (boundary - at) / SECOND end
      scale(DECAY)
      at = boundary
    end
  end
  if all_busy then S.busy = S.busy + (to - at) / SECOND end
end
