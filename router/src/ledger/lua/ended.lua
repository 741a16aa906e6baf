-- Work stops, or is given up: mirrors pool/finish.rs.
-- Work has stopped and its slot returns: counted for the drain rate when all slots were busy.
local function slot_returns(id, a)
  if S.slots > 0 and S.free == 0 then S.releases = S.releases + 1 end
  remove(id, a)
end

local function mark_abandoned(id, a)
  a.phase, a.since = 'a', S.now
  put_attempt(id, a)
  call('ZADD', ABANDONED, whole(S.now), id)
  falls_due(S.now + PROOF_LASTS)
  S.running = S.running - 1
  S.abandoned = S.abandoned + 1
  shift_node(a.backend, -1, 1)
end
