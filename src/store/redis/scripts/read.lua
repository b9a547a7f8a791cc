-- Gives a part of a log: the header where it is wanted, the tail, and the steps after a number.
-- KEYS: the lane, its log. ARGV: the number (empty: from the oldest), the most steps, 1: the header too.
local head = redis.call('HMGET', KEYS[1], 'tail', ARGV[3] == '1' and 'header' or 'first')
if not head[2] then return {} end
local header = ARGV[3] == '1' and head[2] or ''
if not head[1] then return {header, '', {}} end
local oldest = tonumber(head[1]) - redis.call('LLEN', KEYS[2]) + 1
local from = ARGV[1] == '' and 0 or math.max(tonumber(ARGV[1]) + 1 - oldest, 0)
return {header, head[1], redis.call('LRANGE', KEYS[2], from, from + tonumber(ARGV[2]) - 1)}
