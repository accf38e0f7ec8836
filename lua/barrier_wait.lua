-- Count the arrival of one party, and end the round if it was the last.
--
-- KEYS[1] count   (string)  arrivals so far, as every process of the fleet sees it
-- KEYS[2] parties (zset)    the arrivals of this round by processes of dsync, see rounds.lua
-- KEYS[3] ended   (zset)    parties of a round that an old process has ended
-- KEYS[4] told    (hash)    outcomes that were not confirmed yet
-- KEYS[5] guard   (string)  the lock that old processes hold while they change the count
-- ARGV[1] operation         "<session>:<number>", the same when the command is sent again
-- ARGV[2] wanted            the number of parties
-- ARGV[3] channel           of the old processes
-- ARGV[4] heard             what was heard there since the last question: 'release', another word, or
--                           nothing
--
-- Returns '1'                            the round is over, and it was opened
--         {ms, rank, length, us, added}  waits: when to ask again (-1: whenever), 1, or 0 where it could
--                                        not be counted yet, the arrivals, the server's time, and whether
--                                        it did not wait before (1 or 0)
--         -2                             the round was broken
--         -3                             the others of this round want another number of parties
-- Publishes  the outcome to the inbox of each session that has parties in the round, and 'release' on the
--            channel if old processes are among them
-- Complexity O(log N) for N parties, O(N) for the last one; each process that is gone is handled once

local count, parties, ended, told, guard = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local operation, wanted, channel, heard = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

--@include by_session.lua
--@include rounds.lua

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function wait(ms, added, rank)
  return { ms, rank or 1, arrivals(), clock[1] * 1000000 + clock[2], added }
end

notice_the_end(now)
if heard ~= '' and redis.call('EXISTS', ended) == 1 then
  finish(ended, heard == 'release' and 'open' or 'broken')
end
local outcome = redis.call('HGET', told, operation)
if outcome then
  return outcome == 'open' and '1' or -2
end
local since = redis.call('ZSCORE', ended, operation)
if since then
  -- What was said about this end may still be on its way, or was lost with a connection.
  local left = since + UNHEARD_KEPT - now
  return left > 0 and wait(left, 0) or -2
end
if redis.call('ZSCORE', parties, operation) then
  keep()
  return wait(-1, 0)
end
if redis.call('EXISTS', guard) == 1 then
  -- It would overwrite our arrival.
  return wait(1, 0, 0)
end

local first = redis.call('ZRANGE', parties, 0, 0, 'WITHSCORES')[2]
if first and tonumber(first) ~= tonumber(wanted) then
  forget_the_dead()
  if redis.call('EXISTS', parties) == 1 then
    return -3
  end
end
local total = redis.call('INCR', count)
redis.call('ZADD', parties, wanted, operation)
keep()
if total >= tonumber(wanted) then
  forget_the_dead()
  total = arrivals()
end
if total < tonumber(wanted) then
  return wait(-1, 1)
end
local old = total - redis.call('ZCARD', parties)
redis.call('SET', count, '0')
finish(parties, 'open', operation)
if old > 0 then
  redis.call('PUBLISH', channel, 'release')
end
return '1'
