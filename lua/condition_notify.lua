-- Wake the oldest waiters of a condition, in the name of the one that holds its lock.
--
-- KEYS[1] lock     (string)  of the condition
-- KEYS[2] queue    (zset)    waiters for the lock
-- KEYS[3] fence    (string)  the latest grant, as lock_acquire describes it
-- KEYS[4] waiting  (zset)    waiters for a notification, as wake.lua describes them
-- KEYS[5] told     (zset)    those that were woken, likewise
-- KEYS[6] counter  (string)  notifications for and by old processes, not taken yet
-- KEYS[7] reserved (string)  how many of them are our own, meant for old waiters
-- KEYS[8] done     (hash)    the latest call of each session, as once.lua describes it
-- ARGV[1] operation          "<session>:<number>" of this call
-- ARGV[2] again              1: it may have been executed before, 0: not
-- ARGV[3] token              of the lock object
-- ARGV[4] holder             the operation that holds the lock
-- ARGV[5] count              how many to wake; -1 is all
-- ARGV[6] listened           channel of old waiters
-- ARGV[7] listeners          channel that all of dsync subscribe to beside it
-- ARGV[8] width     (ms)     only while a fleet migrates: every other time old waiters come first
--
-- Returns 1   done, now or before
--         -1  the lock is not held by `holder`, so nothing was done
-- Publishes  a wake-up to the inbox of each session that has waiters without the lock, and to the channel
--            of old waiters
-- Complexity O(M log N) for M woken of N waiters

local lock, queue, fence, waiting, told = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local counter, reserved, done = KEYS[6], KEYS[7], KEYS[8]
local operation, again, token, holder, count = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local listened, listeners, width = ARGV[6], ARGV[7], ARGV[8]

--@include holds.lua
--@include hand_over.lua
--@include by_session.lua
--@include wake.lua
--@include old_waiters.lua
--@include once.lua

if redis.call('GET', lock) ~= token or not holds(redis.call('GET', fence), holder) then
  return -1
end
if happened(done, operation, again) then
  return 1
end
note(done, operation)
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local left = tonumber(count)
if left < 0 then
  left = math.huge
end
if width and clock[2] % 2 == 0 then
  left = left - wake_old(left)
end
left = left - wake(left, now, now)
if left > 0 then
  left = left - wake_old(left)
end
wake_aside(left, now)
forget_the_gone(now)
return 1
