-- Free a lock, whoever holds it: the next waiter gets it.
--
-- KEYS[1] lock  (string)  the token of the holder
-- KEYS[2] queue (zset)    waiters, oldest first: member "<operation> <first> <token>"
-- KEYS[3] fence (string)  the latest grant, as lock_acquire describes it
-- KEYS[4] done  (hash)    the latest call of each session, as once.lua describes it
-- ARGV[1] operation       "<session>:<number>" of this call
-- ARGV[2] again           1: it may have been executed before, 0: not
--
-- Returns 1  done, now or before
-- Publishes  a grant to the inbox of the waiter that is due (see hand_over)
-- Complexity O(log N) for N waiters; a waiter whose process is gone is popped once

local lock, queue, fence, done = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local operation, again = ARGV[1], ARGV[2]

--@include hand_over.lua
--@include once.lua

if happened(done, operation, again) then
  return 1
end
note(done, operation)
if not hand_over(lock, queue, fence, redis.call('GET', fence), nil) then
  redis.call('DEL', lock)
end
return 1
