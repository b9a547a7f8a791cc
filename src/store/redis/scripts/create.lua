-- Opens a lane, or gives the header that stands.
-- KEYS: the lane, its log, what of it is wanted.
-- ARGV: the header, its first number, when it was opened, its renditions, the log's life in ms.
local standing = redis.call('HGET', KEYS[1], 'header')
if standing then return standing end
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1], 'header', ARGV[1], 'first', ARGV[2], 'at', ARGV[3], 'renditions', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return ARGV[1]
