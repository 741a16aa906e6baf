-- What a router is told of its tickets: mirrors Action.
-- Tells a router what became of its ticket, and the caller as well. Numbers leave as packed doubles: as numbers Redis would
-- cut them to integers.
local function emit(router, action)
  answer[#answer + 1] = action
  call('PUBLISH', CHANNEL .. router, action)
end

-- The grant of an attempt, as the caller and the router read it.
local function grant(id, router, backend, url, epoch, rank, arrival, entered, deadline, since)
  return 'grant\0' .. id .. '\0' .. router .. '\0' .. backend .. '\0' .. url .. '\0' .. epoch .. '\0'
    .. struct.pack('<ddddd', rank, arrival, entered, deadline, since)
end
