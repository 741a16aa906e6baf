-- An attempt ends. ARGV: what (release, cancel, abandon, confirm), attempt, end, tokens. Mirrors pool/finish.rs.
if not present() then return 'unknown' end
local what, id, ending, tokens = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local raw = call('HGET', ATTEMPTS, id)
if not raw then return told('done') end
local router, _, _, _, _, phase, backend, since, _, _, _, caller, charged = cmsgpack.unpack(raw)

if phase == 'r' and what == 'release' then
  if ending == 'finished' then served(S.now - since) end
  if caller ~= '' then callers().settle(caller, charged, since, tokens, ending == 'finished') end
  if S.slots > 0 and S.free == 0 then S.releases = S.releases + 1 end
  count(ending)
  if caller == '' and hands_over(id, router, backend) then return told('done') end
end

local rare = machinery()
local a = rare.get_attempt(id)
if phase == 'a' then
  if what == 'release' or what == 'confirm' then rare.slot_returns(id, a) end
elseif what == 'abandon' and phase == 'r' then
  if caller ~= '' then callers().settle(caller, charged, since, tokens, false) end
  rare.mark_abandoned(id, a)
  count(ending)
elseif what ~= 'confirm' then
  -- A release was settled above.
  if caller ~= '' and (what ~= 'release' or phase ~= 'r') then callers().refund(a) end
  rare.remove(id, a)
  -- A release was counted above.
  if what ~= 'release' or phase ~= 'r' then count(ending) end
end
rare.dispatch()
return told('done')
