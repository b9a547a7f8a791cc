-- Drops the steps before a number; the tail stays. KEYS: the lane, its log. ARGV: the number.
local tail = redis.call('HGET', KEYS[1], 'tail')
if not tail then return 0 end
local kept = redis.call('LLEN', KEYS[2])
local drop = math.min(tonumber(ARGV[1]) - (tonumber(tail) - kept + 1), kept - 1)
if drop <= 0 then return 0 end
redis.call('LTRIM', KEYS[2], string.format('%.0f', drop), -1)
return drop
