-- One pool's account at one instant, as the router's scripts lay it out (state.lua). KEYS: pool, queue, attempts, nodes, owned,
-- abandoned, free, counts. Nothing is written.
local raw = redis.call('GET', KEYS[1])
if not raw then return { 0 } end
local pool = { struct.unpack('<ddddddddddddddddddddddddddd', raw) }
local slots, running, abandoned, q0, q1, q2 = pool[3], pool[4], pool[5], pool[6], pool[7], pool[8]
local present, let_in, free = pool[20], pool[21], pool[23]
local nodes, offered = {}, 0
local ids = redis.call('HKEYS', KEYS[4])
table.sort(ids)
for _, id in ipairs(ids) do
  local _, _, its, draining, lease, runs, gave_up = cmsgpack.unpack(redis.call('HGET', KEYS[4], id))
  nodes[#nodes + 1] = { id, its, runs, gave_up }
  if lease >= 0 and draining ~= 1 then offered = offered + its end
end
-- Of the present bucket the pool itself has the count.
local admitted = { { present, let_in } }
local counts = redis.call('HGETALL', KEYS[8])
for i = 1, #counts, 2 do
  local bucket = tonumber(string.match(counts[i], '^(%d+):admitted$'))
  if bucket and bucket ~= present then admitted[#admitted + 1] = { bucket, tonumber(counts[i + 1]) } end
end
return { 1, { running, abandoned, q0, q1, q2 },
  { redis.call('ZCARD', KEYS[2]), redis.call('HLEN', KEYS[3]), redis.call('ZCARD', KEYS[5]), redis.call('ZCARD', KEYS[6]) },
  { slots - offered, free - redis.call('ZCARD', KEYS[7]) }, nodes, admitted }
