-- A granted slot comes back unused. ARGV: attempt, next, router, max_queue_size, pool_memory, why, rank, arrival, entered,
-- deadline, caller.
-- Mirrors Pool::hand_back.
if not present() then return 'unknown' end
local id, next_id, router, pool_memory, why = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[7]), ARGV[8]
local known = get_attempt(next_id)
if known then return told(standing(next_id, known)) end
open_lease(router, tonumber(ARGV[6]), pool_memory)
local place = { router = router, rank = tonumber(ARGV[9]), arrival = tonumber(ARGV[10]), entered = tonumber(ARGV[11]),
  deadline = tonumber(ARGV[12]), avoid = '', prefer = '', caller = ARGV[13], charged = 0 }

local function give_back(a)
  place.avoid, place.prefer, place.caller, place.charged = a.avoid, a.prefer, a.caller, a.charged
  if why == 'concurrency' then
    if a.phase == 'q' then return remove(id, a) end
    if a.phase == 'r' then mark_abandoned(id, a) end
    if a.caller ~= '' then
      -- A slot that no work is done on any more is nobody's.
      callers().goes(a.caller)
      a.caller = ''
      put_attempt(id, a)
    end
    return
  end
  if a.backend ~= '' then
    if place.avoid == '' then place.avoid = '\0' end
    place.avoid = place.avoid .. a.backend .. '\n' .. get_node(a.backend).epoch .. '\0'
  end
  remove(id, a)
end

local function some_live()
  for _, backend in ipairs(call('HKEYS', NODES)) do
    local n = get_node(backend)
    if offers(n) > 0 and not avoids(place.avoid, backend, n) then return true end
  end
  return false
end

local a = get_attempt(id)
if a then give_back(a) end
local refused
if place.deadline <= S.now then
  count('timed_out')
  refused = 'deadline'
elseif not (S.slots == 0 and S.now - S.backend_seen < pool_memory) and not some_live() then
  -- A cold pool holds its tickets; where backends are live and none of them can be reached, waiting helps nobody.
  count('failed')
  refused = 'no_backend'
end
if refused then
  -- Once: a second copy of the call finds nothing that it could give back.
  if a and place.caller ~= '' then callers().refund(place) end
  dispatch()
  return told('rejected\0' .. refused .. '\0' .. struct.pack('<dd', 1, 0))
end
enqueue(next_id, place)
dispatch(next_id)
local reply = standing(next_id, get_attempt(next_id))
make_room(1)
return told(reply)
