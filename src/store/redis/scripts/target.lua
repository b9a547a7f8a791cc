-- Raises what is noted. KEYS: a stream's highest target duration. ARGV: seconds, how long it is noted in ms.
local highest = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[1]))
redis.call('SET', KEYS[1], string.format('%.0f', highest), 'PX', ARGV[2])
return highest
