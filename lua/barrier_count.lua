-- Count the parties that wait at a barrier.
--
-- KEYS[1] count   (string)  arrivals so far, as every process of the fleet sees it
-- KEYS[2] parties (zset)    the arrivals of this round by processes of dsync, see rounds.lua
-- KEYS[3] ended   (zset)    parties of a round that an old process has ended
-- KEYS[4] told    (hash)    outcomes that were not confirmed yet
--
-- Returns the number of arrivals in this round
-- Publishes  nothing
-- Complexity O(N) for N parties

local count, parties, ended, told = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

--@include by_session.lua
--@include rounds.lua

local clock = redis.call('TIME')
notice_the_end(clock[1] * 1000 + math.floor(clock[2] / 1000))
forget_the_dead()
return arrivals()
