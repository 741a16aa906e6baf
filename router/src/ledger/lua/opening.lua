-- An account that nothing has happened on: mirrors Pool::new.
local function create(now)
  S = {}
  for place = 1, PLACES do S[place] = 0 end
  S.now, S.last_reset, S.backend_seen, S.due, S.back = now, now, now, NEVER, ''
end
