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
  -- Unless an old process has ended the round, and nobody has noticed: see rounds.lua.
  if redis.call('PTTL', count) > 0 then
    local left = redis.call('DECR', count)
    if redis.call('EXISTS', parties) == 0 then
      redis.call('SET', count, left)
    end
  end
  return 2
end
return math.min(redis.call('HDEL', told, operation) + redis.call('ZREM', ended, operation), 1)
