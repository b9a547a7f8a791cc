-- Drops a lane if its last step is older than a moment; else says when that was.
-- KEYS: the lane, its log, what of it is wanted. ARGV: the moment, the channel, the lane's name.
local at = redis.call('HGET', KEYS[1], 'at')
if at and tonumber(at) >= tonumber(ARGV[1]) then return at end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('PUBLISH', ARGV[2], ARGV[3] .. ' -')
return ''
