-- Notes a lane of a stream behind those that are there; gives those that are now too many.
-- KEYS: the stream's lanes. ARGV: the lane, the most that are noted, the index's life in ms, the channel.
local dropped = {}
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  local newest = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  redis.call('ZADD', KEYS[1], (tonumber(newest[2]) or 0) + 1, ARGV[1])
  local beyond = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[2])
  if beyond > 0 then
    dropped = redis.call('ZRANGE', KEYS[1], 0, beyond - 1)
    redis.call('ZREM', KEYS[1], unpack(dropped))
  end
  if ARGV[4] then redis.call('PUBLISH', ARGV[4], ARGV[1] .. ' -') end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return dropped
