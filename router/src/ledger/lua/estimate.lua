-- What is measured: mirrors estimate.rs.
local DECAY, WINDOW, FORGET_AFTER = 0.9, 10, 100
local MEAN_WEIGHT, P90_STEP, PRIOR_RELEASES = 1 / 32, 0.05, 4

local function scale(factor)
  S.releases = S.releases * factor
  S.busy = S.busy * factor
  S.taken_high = S.taken_high * factor
  S.taken_normal = S.taken_normal * factor
  S.attempts = S.attempts * factor
end

local function elapse(from, to, all_busy)
  local at, last = from, math.floor(to / SECOND)
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
  if all_busy then S.busy = S.busy + (to - at) / SECOND end
end

local function served(micros)
  local sample = math.max(micros, 1) / SECOND
  S.samples = S.samples + 1
  local early = 1 / S.samples
  local weight = early > MEAN_WEIGHT and early or MEAN_WEIGHT
  S.mean = S.mean + weight * (sample - S.mean)
  if S.samples < 2 then
    S.p90 = sample
    return
  end
  local step = early > P90_STEP and early or P90_STEP
  S.p90 = S.p90 * (sample > S.p90 and 1 + 0.9 * step or 1 - 0.1 * step)
end

local function drain_rate()
  return (S.releases + PRIOR_RELEASES) / (S.busy + PRIOR_RELEASES * S.mean / S.slots)
end
