-- Attempts wait, run and end: mirrors pool/grant.rs, pool/finish.rs and the queue of pool/admit.rs.
local function queued()
  return S.q0 + S.q1 + S.q2
end

local function enqueue(id, a)
  a.phase, a.backend, a.since, a.suspect = 'q', '', 0, 0
  put_attempt(id, a)
  call('ZADD', OWNED, 0, a.router .. '\0' .. id)
  call('ZADD', QUEUE, a.rank * PER_RANK + a.arrival, id)
  call('ZADD', DEADLINES, a.deadline, id)
  falls_due(a.deadline)
  S['q' .. a.rank] = S['q' .. a.rank] + 1
end

local function leave_queue(id, a)
  call('ZREM', QUEUE, id)
  call('ZREM', DEADLINES, id)
  S['q' .. a.rank] = S['q' .. a.rank] - 1
end

-- A place and since when it runs, as the router reads it.
local function place_of(a)
  return struct.pack('<ddddd', a.rank, a.arrival, a.entered, a.deadline, a.since)
end

-- The grant of an attempt that runs on `n`, as the caller and the router read it.
local function grant_of(id, a, n)
  return table.concat({ 'grant', id, a.router, a.backend, n.url, n.epoch, place_of(a) }, '\0')
end

-- Puts an attempt on a backend; gives its grant.
local function occupy(id, a, backend)
  a.phase, a.backend, a.since = 'r', backend, S.now
  put_attempt(id, a)
  call('ZADD', ON, 0, backend .. '\0' .. id)
  S.running = S.running + 1
  return grant_of(id, a, change_node(backend, function(n) n.running = n.running + 1 end))
end

-- The preferred backend, or the least loaded one, that a ticket may have.
local function free_backend(a)
  if a.prefer ~= '' and call('ZSCORE', FREE, a.prefer)
    and (a.avoid == '' or not avoids(a.avoid, a.prefer, get_node(a.prefer))) then
    return a.prefer
  end
  if a.avoid == '' then return call('ZRANGE', FREE, 0, 0)[1] end
  for _, id in ipairs(call('ZRANGE', FREE, 0, -1)) do
    if not avoids(a.avoid, id, get_node(id)) then return id end
  end
end

-- Free slots go to the first tickets. The grant of the attempt `own` is the answer to the call, not an action.
local function dispatch(own)
  local passed = 0
  while grants() and queued() > passed and S.free > 0 do
    local id = call('ZRANGE', QUEUE, passed, passed)[1]
    local a = get_attempt(id)
    local backend = free_backend(a)
    if backend then
      leave_queue(id, a)
      local grant = occupy(id, a, backend)
      if id ~= own then emit(a.router, grant) end
    else
      passed = passed + 1
    end
  end
end

-- Takes an attempt off the account, with all that it holds.
local function remove(id, a)
  if a.phase == 'q' then
    leave_queue(id, a)
  else
    call('ZREM', ON, a.backend .. '\0' .. id)
    if a.phase == 'r' then
      S.running = S.running - 1
      change_node(a.backend, function(n) n.running = n.running - 1 end)
    else
      call('ZREM', ABANDONED, id)
      S.abandoned = S.abandoned - 1
      change_node(a.backend, function(n) n.abandoned = n.abandoned - 1 end)
    end
  end
  call('HDEL', ATTEMPTS, id)
  call('ZREM', OWNED, a.router .. '\0' .. id)
end

local function drop_ticket(id, reason)
  local a = get_attempt(id)
  remove(id, a)
  emit(a.router, table.concat({ 'drop', id, a.router, reason }, '\0'))
end

-- Tickets that the most generous router allows.
local function largest_limit()
  local largest = 0
  for _, raw in ipairs(call('HVALS', FLAGS)) do
    local _, max_queue_size = cmsgpack.unpack(raw)
    largest = math.max(largest, max_queue_size)
  end
  return largest
end

-- So many of the last tickets go, at most, where one that came back, or the death of a router, made the queue longer than any
-- router allows. What re-entered beyond the limit stays.
local function make_room(most)
  local largest = largest_limit()
  for _ = 1, most do
    if queued() <= largest then return end
    drop_ticket(call('ZREVRANGE', QUEUE, 0, 0)[1], 'queue_full')
    count('failed')
  end
end

-- Work has stopped and its slot returns: counted for the drain rate when all slots were busy.
local function slot_returns(id, a)
  if S.slots > 0 and S.free == 0 then S.releases = S.releases + 1 end
  remove(id, a)
end

local function confirm(id)
  local a = get_attempt(id)
  if a and a.phase == 'a' then slot_returns(id, a) end
end

local function mark_abandoned(id, a)
  a.phase, a.since = 'a', S.now
  put_attempt(id, a)
  call('ZADD', ABANDONED, S.now, id)
  falls_due(S.now + PROOF_LASTS)
  S.running = S.running - 1
  S.abandoned = S.abandoned + 1
  change_node(a.backend, function(n)
    n.running = n.running - 1
    n.abandoned = n.abandoned + 1
  end)
end

-- The second halves of the members `owner NUL attempt` of a set.
local function members(set, owner)
  local found = {}
  for _, member in ipairs(call('ZRANGEBYLEX', set, '[' .. owner .. '\0', '(' .. owner .. '\1')) do
    found[#found + 1] = string.sub(member, #owner + 2)
  end
  return found
end

-- How an attempt stands that is on the account.
local function standing(id, a)
  if a.phase == 'q' then return { 'queued', call('ZRANK', QUEUE, id) + 1, place_of(a) } end
  if a.phase == 'r' then return { 'granted', grant_of(id, a, get_node(a.backend)) } end
  return { 'done' }
end
