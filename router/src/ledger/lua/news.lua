-- Whether a router says this for the first time, and has said nothing newer: mirrors Pool::is_news.
local function is_news(router, number)
  local raw = call('HGET', FLAGS, router)
  if not raw then return true end
  local _, _, _, last = cmsgpack.unpack(raw)
  return last < number
end
