-- Appends steps if the log's tail is the one they were computed from; else gives those after it.
-- KEYS: the lane, its log, what of it is wanted.
-- ARGV: the number that the first step must have (empty: the lane's first), the first step's number,
--   1 where a later step leaves a hole, the expected tail (empty: none), the new tail, when it was listed,
--   the log's life in ms, the most steps kept, the most given back, the channel, the lane's name, the steps.
local head = redis.call('HMGET', KEYS[1], 'first', 'tail')
if not head[1] then return {'no lane'} end
local tail, expected = head[2] or '', ARGV[4]
local follows = ARGV[1] ~= '' and ARGV[1] or head[1]
local below = expected ~= '' and (tail == '' or tonumber(tail) < tonumber(expected))
if ARGV[2] ~= follows or below then return {'hole', 'first'} end
if ARGV[3] == '1' then return {'hole', 'later'} end
if tail == expected then
  -- In pieces: a script may not hand over any number of values at once.
  for from = 12, #ARGV, 1000 do
    redis.call('RPUSH', KEYS[2], unpack(ARGV, from, math.min(from + 999, #ARGV)))
  end
  redis.call('LTRIM', KEYS[2], -tonumber(ARGV[8]), -1)
  redis.call('HSET', KEYS[1], 'tail', ARGV[5], 'at', ARGV[6])
  redis.call('PEXPIRE', KEYS[1], ARGV[7])
  redis.call('PEXPIRE', KEYS[2], ARGV[7])
  redis.call('PUBLISH', ARGV[10], ARGV[11] .. ' ' .. ARGV[5])
  return {'done'}
end
local oldest = tonumber(tail) - redis.call('LLEN', KEYS[2]) + 1
local from = expected == '' and 0 or math.max(tonumber(expected) + 1 - oldest, 0)
local steps = redis.call('LRANGE', KEYS[2], from, from + tonumber(ARGV[9]) - 1)
return {'lost', tail, steps}
