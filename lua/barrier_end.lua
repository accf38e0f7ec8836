-- End the round of a barrier before its time, for all its parties.
--
-- KEYS[1] count   (string)  arrivals so far, as every process of the fleet sees it
-- KEYS[2] parties (zset)    the arrivals of this round by processes of dsync, see rounds.lua
-- KEYS[3] ended   (zset)    parties of a round that an old process has ended
-- KEYS[4] told    (hash)    outcomes that were not confirmed yet
-- KEYS[5] done    (hash)    the latest call of each session, as once.lua describes it
-- ARGV[1] operation         "<session>:<number>" of this call
-- ARGV[2] again             1: it may have been executed before, 0: not
-- ARGV[3] channel           of the old processes
-- ARGV[4] word              what is said there: 'release' opens the barrier, 'reset' and 'abort' break it;
--                           nothing tells nobody
--
-- Returns 1  done, now or before
-- Publishes  the outcome to the inbox of each session that has parties in the round, and the word on the
--            channel
-- Complexity O(N) for N parties

local count, parties, ended, told, done = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local operation, again, channel, word = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

--@include by_session.lua
--@include rounds.lua
--@include once.lua

if happened(done, operation, again) then
  return 1
end
note(done, operation)
redis.call('SET', count, '0')
if word == '' then
  local clock = redis.call('TIME')
  notice_the_end(clock[1] * 1000 + math.floor(clock[2] / 1000))
else
  local outcome = word == 'release' and 'open' or 'broken'
  finish(parties, outcome)
  finish(ended, outcome)
  redis.call('PUBLISH', channel, word)
end
return 1
