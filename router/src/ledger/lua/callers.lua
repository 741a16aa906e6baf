-- Keys and tenants: mirrors caller.rs and pool/callers.rs. All of it is made by the first call that has a key.
-- A caller is text, as its router writes it: key NUL tenant NUL, then packed requests a minute, tokens a minute, requests at once
-- (each below 0 where there is no such limit), weight, and tokens charged in advance.
local made
local function callers()
  if made then return made end

  local function read(text)
    local key, tenant, figures = string.match(text, '^(%Z*)%z(%Z*)%z(.*)$')
    local requests, tokens, concurrency, weight, reserved = struct.unpack('<ddddd', figures)
    return { key = key, tenant = tenant, requests = requests, tokens = tokens, concurrency = concurrency,
      weight = weight, reserved = reserved }
  end

  local function get_use(key)
    local raw = call('HGET', USAGE, key)
    if not raw then return { at = S.now, requests = 0, tokens = 0, held = 0 } end
    local at, requests, tokens, held = cmsgpack.unpack(raw)
    return { at = at, requests = requests, tokens = tokens, held = held }
  end

  local function put_use(key, at, requests, tokens, held)
    call('HSET', USAGE, key, cmsgpack.pack(at, requests, tokens, held))
  end

  local function get_tenant(name)
    local raw = call('HGET', TENANTS, name)
    if not raw then return nil end
    local finish, last, weight, held, q0, q1, q2 = cmsgpack.unpack(raw)
    return { finish = finish, last = last, weight = weight, held = held, queued = { q0, q1, q2 } }
  end

  local function put_tenant(name, t)
    call('HSET', TENANTS, name, cmsgpack.pack(t.finish, t.last, t.weight, t.held, t.queued[1], t.queued[2], t.queued[3]))
  end

  -- What of `used` is left by now; a meter without a limit stands at 0.
  local function leaked(used, limit, elapsed)
    if limit < 0 then return 0 end
    return math.max(used - elapsed * limit / MINUTE, 0)
  end

  -- Requests, tokens and attempts of a key.
  local function used_by(c)
    local u = get_use(c.key)
    return leaked(u.requests, c.requests, S.now - u.at), leaked(u.tokens, c.tokens, S.now - u.at), u.held
  end

  local function charge_instead(c, tokens)
    if c.tokens < 0 then return end
    local requests, used, held = used_by(c)
    put_use(c.key, S.now, requests, math.max(used + (tokens - c.reserved), 0), held)
  end

  local function by_weight(cost, c)
    return math.max(math.floor(cost / c.weight), 1)
  end

  local function owes_instead(c, charged, cost)
    local t = get_tenant(c.tenant)
    if not t then return end
    t.finish = math.max(t.finish + cost - charged, 0)
    put_tenant(c.tenant, t)
  end

  local function within(limit, used, wanted)
    if limit < 0 or used + wanted - limit <= 0 then return nil end
    return (used + wanted - limit) * 60 / limit, wanted > limit
  end

  made = { read = read }

  -- Seconds until the key may have another request, and whether it never may; nothing where it may now.
  function made.limited(c)
    local requests, tokens, held = used_by(c)
    if c.concurrency >= 0 and held + 1 > c.concurrency then return 1, c.concurrency == 0 end
    local wait, never = within(c.requests, requests, 1)
    if wait then return wait, never end
    return within(c.tokens, tokens, c.reserved > 0 and c.reserved or 1)
  end

  -- What the key has used, as a decision's numbers have it.
  function made.allowance(c)
    return struct.pack('<ddd', used_by(c))
  end

  function made.charge(c)
    local requests, tokens, held = used_by(c)
    put_use(c.key, S.now, c.requests >= 0 and requests + 1 or 0, c.tokens >= 0 and tokens + c.reserved or 0, held)
  end

  -- The place of the tenant's next request, and what it is charged in advance.
  function made.fair_place(c)
    local t, start = get_tenant(c.tenant), S.turn
    if t then start = math.max(start, t.finish, t.last + 1) end
    return math.min(start, LAST_PLACE), by_weight(S.costs > 0 and S.cost or PER_TOKEN, c)
  end

  function made.comes(a, queued)
    local c = read(a.caller)
    local u = get_use(c.key)
    put_use(c.key, u.at, u.requests, u.tokens, u.held + 1)
    local t = get_tenant(c.tenant) or { finish = 0, last = 0, weight = c.weight, held = 0, queued = { 0, 0, 0 } }
    if t.held > 0 then S.weights = S.weights - t.weight end
    S.weights = S.weights + c.weight
    t.weight, t.held = c.weight, t.held + 1
    if queued then t.queued[a.rank + 1] = t.queued[a.rank + 1] + 1 end
    t.last = math.max(t.last, a.arrival)
    t.finish = math.max(t.finish, a.arrival + a.charged)
    put_tenant(c.tenant, t)
  end

  function made.waits_no_more(text, rank)
    local c = read(text)
    local t = get_tenant(c.tenant)
    if not t then return end
    t.queued[rank + 1] = t.queued[rank + 1] - 1
    put_tenant(c.tenant, t)
  end

  function made.goes(text)
    local c = read(text)
    local u, t = get_use(c.key), get_tenant(c.tenant)
    put_use(c.key, u.at, u.requests, u.tokens, u.held - 1)
    t.held = t.held - 1
    put_tenant(c.tenant, t)
    if t.held > 0 then return end
    S.weights = S.weights - t.weight
    if t.finish <= S.turn and t.last < S.turn then call('HDEL', TENANTS, c.tenant) end
    parted = true
  end

  function made.refund(a)
    local c = read(a.caller)
    charge_instead(c, 0)
    owes_instead(c, a.charged, 0)
  end

  -- `tokens`: text, empty where the use is not known.
  function made.settle(text, charged, since, tokens, finished)
    local c, cost = read(text), (S.now - since) / MICROS_PER_TOKEN
    if tokens ~= '' then
      cost = tonumber(tokens)
      charge_instead(c, cost)
    end
    cost = cost * PER_TOKEN
    owes_instead(c, charged, by_weight(cost, c))
    if finished then
      S.costs = S.costs + 1
      S.cost = S.cost + math.max(1 / S.costs, MEAN_WEIGHT) * (cost - S.cost)
    end
  end

  -- The pool as the tenant's request sees it: slots in use, and tickets by rank.
  function made.seen(c)
    local t = get_tenant(c.tenant)
    local held, queued, others = 0, { 0, 0, 0 }, S.weights
    if t then
      held, queued = t.held, t.queued
      if held > 0 then others = others - t.weight end
    end
    local all = (others + c.weight) / c.weight
    local function at_most(real, own) return math.min(real, math.floor(own * all)) end
    return at_most(S.running + S.abandoned, held - queued[1] - queued[2] - queued[3]), at_most(S.q0, queued[1]),
      at_most(S.q1, queued[2]), at_most(S.q2, queued[3])
  end

  return made
end
