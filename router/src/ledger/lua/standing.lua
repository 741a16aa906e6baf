-- How an attempt stands that is on the account: mirrors Pool::standing.
local function standing(id, a)
  if a.phase == 'q' then return { 'queued', call('ZRANK', QUEUE, id) + 1, place_of(a) } end
  if a.phase == 'r' then return { 'granted', grant_of(id, a, get_node(a.backend)) } end
  return { 'done' }
end
