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
  S['q' .. a.rank] = S['q' .. a.rank] + 1
end

local function leave_queue(id, a)
  call('ZREM', QUEUE, id)
  call('ZREM', DEADLINES, id)
  S['q' .. a.rank] = S['q' .. a.rank] - 1
end

-- Puts an attempt on a backend; gives the grant as the caller and the router read it.
local function occupy(id, a, backend)
  a.phase, a.backend, a.since = 'r', backend, S.now
  put_attempt(id, a)
  call('ZADD', ON, 0, backend .. '\0' .. id)
  S.running = S.running + 1
  local n = change_node(backend, function(n) n.running = n.running + 1 end)
  return n.url
end

local function grant_of(id, a, url)
  return { 'grant', id, a.router, a.backend, url, text(a.rank), text(a.arrival), text(a.entered), text(a.deadline) }
end

local function free_backend(avoid)
  if avoid == '' then return call('ZRANGE', FREE, 0, 0)[1] end
  for _, id in ipairs(call('ZRANGE', FREE, 0, -1)) do
    if not avoids(avoid, id, get_node(id)) then return id end
  end
end

-- Free slots go to the first tickets. The grant of the attempt `own` is the answer to the call, not an action.
local function dispatch(own)
  local passed = 0
  while queued() > passed and call('ZCARD', FREE) > 0 do
    local id = call('ZRANGE', QUEUE, passed, passed)[1]
    local a = get_attempt(id)
    local backend = free_backend(a.avoid)
    if backend then
      leave_queue(id, a)
      local url = occupy(id, a, backend)
      if id ~= own then emit(a.router, grant_of(id, a, url)) end
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
  emit(a.router, { 'drop', id, a.router, reason })
end

-- Work has stopped and its slot returns: counted for the drain rate when all slots were busy.
local function slot_returns(id, a)
  if S.slots > 0 and call('ZCARD', FREE) == 0 then S.releases = S.releases + 1 end
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
  if a.phase == 'q' then
    local position = call('ZRANK', QUEUE, id) + 1
    return { 'queued', text(position), text(a.rank), text(a.arrival), text(a.entered), text(a.deadline) }
  elseif a.phase == 'r' then
    return grant_of(id, a, get_node(a.backend).url)
  end
  return { 'done' }
end
