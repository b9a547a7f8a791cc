-- Begins a lane's log anew, without a step, if its tail is the one that was seen.
-- KEYS: the lane, its log, what of it is wanted.
-- ARGV: the tail (empty: none), the channel, the lane's name, the header, its first number, when it was opened, its
--   renditions, the log's life in ms.
local head = redis.call('HMGET', KEYS[1], 'first', 'tail')
if not head[1] or (head[2] or '') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('HDEL', KEYS[1], 'tail')
redis.call('HSET', KEYS[1], 'header', ARGV[4], 'first', ARGV[5], 'at', ARGV[6], 'renditions', ARGV[7])
redis.call('PEXPIRE', KEYS[1], ARGV[8])
-- Without a tail: whoever has that of the old one has to look all the same.
redis.call('PUBLISH', ARGV[2], ARGV[3] .. ' -')
return 1
