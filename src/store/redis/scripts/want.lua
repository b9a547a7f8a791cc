-- Notes that renditions are wanted now, by this server's clock, and gives all that were lately.
-- KEYS: the lane, what of it is wanted. ARGV: how long ms ago is lately, the channel, the lane's name, the
--   renditions.
local head = redis.call('HMGET', KEYS[1], 'renditions')
if not head[1] then return false end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local since, new = now - tonumber(ARGV[1]), false
for i = 4, #ARGV do
  if tonumber(ARGV[i]) < tonumber(head[1]) then
    local before = redis.call('HGET', KEYS[2], ARGV[i])
    new = new or not before or tonumber(before) < since
    redis.call('HSET', KEYS[2], ARGV[i], string.format('%.0f', now))
  end
end
local noted, wanted = redis.call('HGETALL', KEYS[2]), {}
for i = 1, #noted, 2 do
  if tonumber(noted[i + 1]) >= since then wanted[#wanted + 1] = tonumber(noted[i]) end
end
redis.call('PEXPIRE', KEYS[2], string.format('%.0f', tonumber(ARGV[1]) + 60000))
-- Without the tail: whoever has that has to look all the same.
if new then redis.call('PUBLISH', ARGV[2], ARGV[3] .. ' -') end
return wanted
