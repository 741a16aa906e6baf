-- One pool's account at one instant, as it is laid out by the router's scripts (state.lua). KEYS: pool, queue, attempts, nodes, on,
-- abandoned, counts. Nothing is written.
local raw = redis.call('GET', KEYS[1])
if not raw then return { 0 } end
local pool = { cmsgpack.unpack(raw) }
local nodes = {}
local ids = redis.call('HKEYS', KEYS[4])
table.sort(ids)
for _, id in ipairs(ids) do
  local url, epoch, slots, draining, lease, running, abandoned = cmsgpack.unpack(redis.call('HGET', KEYS[4], id))
  nodes[#nodes + 1] = { id, slots, running, abandoned }
end
local admitted = {}
local counts = redis.call('HGETALL', KEYS[7])
for i = 1, #counts, 2 do
  local bucket = string.match(counts[i], '^(%d+):admitted$')
  if bucket then admitted[#admitted + 1] = { tonumber(bucket), tonumber(counts[i + 1]) } end
end
-- running, abandoned, queued of each priority; then the same from the sets.
return { 1, { pool[4], pool[5], pool[6], pool[7], pool[8] },
  { redis.call('ZCARD', KEYS[2]), redis.call('HLEN', KEYS[3]), redis.call('ZCARD', KEYS[5]), redis.call('ZCARD', KEYS[6]) },
  nodes, admitted }
