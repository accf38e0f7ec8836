-- End the waiting of one party, or confirm that it knows the outcome of its round.
--
-- KEYS[1] count   (string)  arrivals so far, as every process of the fleet sees it
-- KEYS[2] parties (zset)    the arrivals of this round by processes of dsync, see rounds.lua
-- KEYS[3] ended   (zset)    parties of a round that an old process has ended
-- KEYS[4] told    (hash)    outcomes that were not confirmed yet
-- ARGV[1] operation         "<session>:<number>"
--
-- Returns 1  its round is over
--         2  it waited, and does not count any more
--         0  neither
-- Publishes  nothing
-- Complexity O(log N) for N parties

local count, parties, ended, told = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local operation = ARGV[1]

if redis.call('ZREM', parties, operation) == 1 then
  -- Unless an old process has ended the round, and nobody has noticed.
  if tonumber(redis.call('GET', count) or 0) > redis.call('ZCARD', parties) then
    redis.call('DECR', count)
  end
  return 2
end
return math.min(redis.call('HDEL', told, operation) + redis.call('ZREM', ended, operation), 1)
