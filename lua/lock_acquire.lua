-- Grant the lock to one operation, or queue that operation behind the others.
--
-- KEYS[1] lock  (string)  the token of the holder, as every process of the fleet sees it
-- KEYS[2] queue (zset)    waiters, oldest first: member "<operation> <first> <token>"
-- KEYS[3] fence (string)  the latest grant: "<fencing token, 16 digits> <operation>", and a "+" behind
--                         it where somebody may have queued since
-- ARGV[1] token           of the lock object
-- ARGV[2] operation       "<session>:<number>", the same when the command is sent again
-- ARGV[3] lease     (ms)  0 is no expiry
-- ARGV[4] first     (ms)  lease of a grant by message, 0 is no expiry; -1 does not queue
-- ARGV[5] kept      (ms)  life of the fence, longer than the lease
-- KEYS[4] window (string) only while a fleet migrates: see window.lua
-- ARGV[6] width     (ms)  likewise
--
-- Returns a fencing token in 16 digits       granted to this operation, now or before
--         {ttl ms, rank, length, us, added}  queued: the holder's time to live (-1 without expiry, or
--                                            behind the first rank), the 1-based rank, the queue's
--                                            length, the server's time, and whether it was not queued
--                                            before (1 or 0)
--         0                                  taken, and not queued
-- Publishes  a grant to the inbox of a waiter that is due (see hand_over)
-- Complexity O(log N) for N waiters; a waiter whose process is gone is popped once

local lock, queue, fence = KEYS[1], KEYS[2], KEYS[3]
local token, operation, lease, first, kept = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local window, width = KEYS[4], ARGV[6]

local latest = redis.call('GET', fence)
-- Without a fence nothing is known of the queue. 43 is "+".
local queued = not latest or string.byte(latest, -1) == 43
if queued then
  queued = redis.call('EXISTS', queue) == 1
end

if not queued then
  local taken
  if lease == '0' then
    taken = redis.call('SET', lock, token, 'NX')
  else
    taken = redis.call('SET', lock, token, 'NX', 'PX', lease)
  end
  if taken then
    --@include count_fence.lua
    if lease == '0' then
      redis.call('SET', fence, digits .. ' ' .. operation)
    else
      redis.call('PSETEX', fence, kept, digits .. ' ' .. operation)
    end
    return digits
  end
end

--@include holds.lua
--@include hand_over.lua
--@include window.lua
--@include take_or_queue.lua
