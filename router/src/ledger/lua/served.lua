-- Work has finished: mirrors Estimate::served.
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
