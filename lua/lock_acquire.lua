-- Grant the lock to one operation, or queue that operation behind the others.
--
-- KEYS[1] lock  (string)  the token of the holder, as every process of the fleet sees it
-- KEYS[2] queue (zset)    waiters, oldest ticket first
-- KEYS[3] fence (string)  "<fencing token> <operation>" of the latest grant
-- ARGV[1] token           of the lock object
-- ARGV[2] operation       "<session>:<number>", the same when the command is sent again
-- ARGV[3] lease     (ms)  0 is no expiry
-- ARGV[4] first     (ms)  lease of a grant by message, 0 is no expiry
-- ARGV[5] queueing  (0|1) 1 queues the operation when the lock is taken
--
-- Returns a fencing token                    granted to this operation, now or before
--         {ttl ms, rank, length, us, added}  queued: the holder's time to live (-1 without expiry),
--                                            the 1-based rank, the queue's length, the server's
--                                            time, and whether it was not queued before (1 or 0)
--         0                                  taken, and not queued
-- Publishes  a grant to the inbox of a waiter that is due (see hand_over)
-- Complexity O(log N) for N waiters; a waiter whose process is gone is popped once

local lock, queue, fence = KEYS[1], KEYS[2], KEYS[3]
local token, operation, lease, first, queueing = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

-- Every read that can fail comes before the first write: a script is not undone.
local queued = redis.call('EXISTS', queue) == 1
local latest = redis.call('GET', fence)
local last = latest and tonumber(string.match(latest, '^%d+')) or 0

--@include grant.lua

if not queued then
  local taken
  if lease == '0' then
    taken = redis.call('SET', lock, token, 'NX')
  else
    taken = redis.call('SET', lock, token, 'NX', 'PX', lease)
  end
  if taken then
    return (grant(fence, last, operation, lease))
  end
end

local holder = redis.call('GET', lock)
if holder == token and latest and string.match(latest, ' (.*)$') == operation then
  -- Granted before, and the answer was lost: the lease counts from the question, as if it were new.
  if lease ~= '0' then
    redis.call('PEXPIRE', lock, lease)
    redis.call('PEXPIRE', fence, lease + FENCE_KEPT)
  end
  return last
end

--@include hand_over.lua

local member = operation .. ' ' .. first .. ' ' .. token
local added = 0
if queueing == '1' and not redis.call('ZSCORE', queue, member) then
  local tail = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')
  added = redis.call('ZADD', queue, (tail[2] or 0) + 1, member)
end

if not holder then
  local due = hand_over(lock, queue, fence, last, member)
  if due == member or (not due and queueing == '0') then
    if lease == '0' then
      redis.call('SET', lock, token)
    else
      redis.call('SET', lock, token, 'PX', lease)
    end
    return (grant(fence, last, operation, lease))
  end
end
if queueing == '0' then
  return 0
end

-- A queue that no living process asks about any more disappears by itself.
redis.call('PEXPIRE', queue, QUEUE_KEPT)
local time = redis.call('TIME')
return {
  redis.call('PTTL', lock),
  redis.call('ZRANK', queue, member) + 1,
  redis.call('ZCARD', queue),
  time[1] * 1000000 + time[2],
  added,
}
