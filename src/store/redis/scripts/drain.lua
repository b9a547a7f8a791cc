-- Takes a packager out, unless it is already, or brings it back. That is noted: who has not heard of it would take
-- the packager out again.
-- KEYS: since when packagers are out, or, less than 0, when they were brought back.
-- ARGV: the packager, since when (empty: it is brought back), how long that it was brought back is noted in ms.
local at = tonumber(redis.call('HGET', KEYS[1], ARGV[1]))
if ARGV[2] ~= '' then
  if not at or at < 0 then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
  return 1
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
-- Once it has removed something it may write, though the server is full.
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], string.format('-%.0f', now))
local noted = redis.call('HGETALL', KEYS[1])
for i = 1, #noted, 2 do
  at = tonumber(noted[i + 1])
  if at and at < 0 and -at < now - tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], noted[i]) end
end
return 1
