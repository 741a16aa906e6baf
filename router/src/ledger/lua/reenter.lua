-- A router says all that it holds. ARGV: router, number, flags, max_queue_size, pool_memory, routers that it knew of, then for
-- each attempt: id, avoid, rank, arrival, entered, deadline, phase, backend, epoch, since, caller. What comes twice, or late, changes nothing.
-- Mirrors pool/reentry.rs.
if not open() then create(clock()) end
advance()
local router, number, routers = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[8])

local function remembers_nobody_else()
  if call('HLEN', ATTEMPTS) > 0 then return false end
  for _, known in ipairs(call('ZRANGE', ROUTERS, 0, -1)) do
    if known ~= router then return false end
  end
  return true
end

local function free_unlisted()
  local listed = {}
  for i = 9, #ARGV, 11 do listed[ARGV[i]] = true end
  for _, id in ipairs(owned_by(router)) do
    if not listed[id] then remove(id, get_attempt(id)) end
  end
end

local function seat(id, held, epoch)
  local n = get_node(held.backend)
  if n and n.epoch ~= epoch then return end
  if not n then
    put_node(held.backend, { url = '', epoch = epoch, slots = 0, draining = 0, lease = -1, running = 0, abandoned = 0 })
  end
  held.prefer = ''
  if held.caller ~= '' then callers().comes(held, false) end
  put_attempt(id, held)
  own(id, router)
  if held.phase == 'a' then
    call('ZADD', ABANDONED, whole(S.now), id)
    falls_due(S.now + PROOF_LASTS)
    S.abandoned = S.abandoned + 1
    shift_node(held.backend, 0, 1)
  else
    S.running = S.running + 1
    if held.caller ~= '' then S.turn = math.max(S.turn, held.arrival) end
    shift_node(held.backend, 1, 0)
  end
end

local function enter(id, held, epoch)
  local a = get_attempt(id)
  if a and a.phase == held.phase and (a.phase == 'q' or a.backend == held.backend) then
    a.suspect = 0
    put_attempt(id, a)
    return
  end
  if a then
    held.prefer, held.charged = a.prefer, a.charged
    remove(id, a)
  end
  if held.caller == '' then S.arrivals = math.max(S.arrivals, held.arrival) end
  if held.phase ~= 'q' then
    held.since = held.phase == 'a' and S.now or math.min(held.since, S.now)
    seat(id, held, epoch)
  elseif held.deadline <= S.now then
    emit(router, 'drop\0' .. id .. '\0' .. router .. '\0deadline')
    count('timed_out')
  else
    enqueue(id, held)
  end
end

local function take_word()
  put_lease(router, number, ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]))
  if S.recovery ~= 0 or remembers_nobody_else() then begin_recovery(routers) end
  free_unlisted()
  for i = 9, #ARGV, 11 do
    enter(ARGV[i], { router = router, avoid = ARGV[i + 1], rank = tonumber(ARGV[i + 2]), arrival = tonumber(ARGV[i + 3]),
      entered = tonumber(ARGV[i + 4]), deadline = tonumber(ARGV[i + 5]), phase = ARGV[i + 6], backend = ARGV[i + 7],
      since = tonumber(ARGV[i + 9]), suspect = 0, prefer = '',
      caller = ARGV[i + 10], charged = 0 }, ARGV[i + 8])
  end
  if S.recovery ~= 0 then
    if not string.find(S.back, '\0' .. router .. '\0', 1, true) then S.back = S.back .. '\0' .. router .. '\0' end
    local _, back = string.gsub(S.back, '%z%z', '')
    if back + 1 >= S.routers then S.recovery = 0 end
  end
  dispatch()
end

if is_news(router, number) then take_word() end
return told('reentered\0' .. roll(router))
