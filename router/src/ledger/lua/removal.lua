-- An attempt goes: mirrors Pool::remove.
-- Takes an attempt off the account, with all that it holds.
local function remove(id, a)
  call('HDEL', ATTEMPTS, id)
  call('ZREM', OWNED, a.router .. '\0' .. id)
  if a.phase == 'q' then
    leave_queue(id, a.rank, a.caller)
  elseif a.phase == 'r' then
    S.running = S.running - 1
    shift_node(a.backend, -1, 0)
  else
    call('ZREM', ABANDONED, id)
    S.abandoned = S.abandoned - 1
    shift_node(a.backend, 0, -1)
  end
  if a.caller ~= '' then callers().goes(a.caller) end
end
