-- How an attempt stands that is on the account: mirrors Pool::standing.
local function standing(id, a)
  if a.phase == 'q' then return waits(call('ZRANK', QUEUE, id) + 1, a) end
  if a.phase == 'r' then return grant_of(id, a, get_node(a.backend)) end
  return 'done'
end
