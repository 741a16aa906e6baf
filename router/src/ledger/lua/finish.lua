-- An attempt ends. ARGV: what (release, cancel, abandon, confirm), attempt, end. Mirrors pool/finish.rs.
if not present() then return { { 'unknown' }, {} } end
local what, id, ending = ARGV[3], ARGV[4], ARGV[5]
local a = get_attempt(id)
local phase = a and a.phase

if phase == 'a' then
  if what == 'release' or what == 'confirm' then confirm(id) end
elseif a and what ~= 'confirm' then
  if what == 'release' and phase == 'r' then
    if ending == 'finished' then served(S.now - a.since) end
    slot_returns(id, a)
  elseif what == 'abandon' and phase == 'r' then
    mark_abandoned(id, a)
  else
    remove(id, a)
  end
  count(ending)
end
dispatch()
save()
return { { 'done' }, actions }
