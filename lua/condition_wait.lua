-- Make one operation wait for a notification, and give it the lock again if it came with the lock.
--
-- KEYS[1] lock     (string)  of the condition
-- KEYS[2] queue    (zset)    waiters for the lock
-- KEYS[3] fence    (string)  the latest grant, as lock_acquire describes it
-- KEYS[4] waiting  (zset)    waiters for a notification, as wake.lua describes them
-- KEYS[5] told     (zset)    those that were woken, likewise
-- KEYS[6] counter  (string)  notifications by old processes, not taken yet
-- KEYS[7] reserved (string)  how many of them are our own, meant for old waiters
-- KEYS[8] window   (string)  only while a fleet migrates: see window.lua
-- ARGV[1] token              of the lock object; empty: the operation came without the lock
-- ARGV[2] operation          "<session>:<number>", the same when the command is sent again
-- ARGV[3] lease     (ms)     of the lock, 0 is no expiry
-- ARGV[4] first     (ms)     lease of a grant by message
-- ARGV[5] kept      (ms)     life of the fence, longer than the lease
-- ARGV[6] former             the operation that holds the lock, and gives it back to wait; empty where
--                            that is known to have happened
-- ARGV[7] verb               'wait', or 'leave': wants the lock again without a notification
-- ARGV[8] heard              '1': an old process has notified since the last question
-- ARGV[9] listened           channel of old waiters
-- ARGV[10] listeners         channel that all of dsync subscribe to beside it
-- ARGV[11] width    (ms)     as KEYS[8]
--
-- Returns a fencing token in 16 digits   woken, and holds the lock; without a lock it wakes by message
--         '1'                            woken, without a lock
--         {ms, rank, length, us, added}  waits for a notification, or, woken, for the lock: when to ask
--                                        again (-1: whenever), its place in the lock's queue or 0, the
--                                        length of either, the server's time, and whether it was not
--                                        there before (1 or 0)
--         -1                             the lock is not held by `former`, so nothing was done
-- Publishes  grants and wake-ups to the inboxes of waiters that are due
-- Complexity O(log N) for N waiters; each waiter whose process is gone is handled once

local lock, queue, fence, waiting, told = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local counter, reserved, window = KEYS[6], KEYS[7], KEYS[8]
local token, operation, lease, first, kept = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local former, verb, heard, listened, listeners = ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local width = ARGV[11]

--@include holds.lua
--@include hand_over.lua
--@include window.lua
--@include by_session.lua
--@include wake.lua
--@include old_waiters.lua

local clock = redis.call('TIME')
local began = clock[1] * 1000000 + clock[2]
local place = operation
if token ~= '' then
  place = operation .. ' ' .. first .. ' ' .. token
end
local again_in = -1
if heard == '1' then
  again_in = take_old_notifications(began)
end
local is_former = former ~= '' and has_lock(former, token)
if verb == 'leave' then
  redis.call('ZREM', waiting, place)
  pass_on(place, began)
  if is_former then
    -- It never gave the lock back.
    if lease ~= '0' then
      redis.call('PEXPIRE', lock, lease)
    end
    return (grant(fence, redis.call('GET', fence), operation, lease))
  end
else
  local woken = redis.call('ZSCORE', told, place)
  if not woken and not (token ~= '' and has_lock(operation, token)) then
    local fresh = 0
    local since = redis.call('ZSCORE', waiting, place)
    if not since then
      if former ~= '' and not is_former then
        return -1
      end
      forget_stale_notifications(began)
      fresh = redis.call('ZADD', waiting, began, place)
      if is_former and not hand_over(lock, queue, fence, redis.call('GET', fence), nil) then
        redis.call('DEL', lock)
        redis.call('PEXPIRE', fence, FENCE_KEPT)
      end
    else
      -- The first write, because this one may not fail when the server is out of memory.
      redis.call('PEXPIRE', waiting, TOLD_KEPT)
      come_back(place, tonumber(since))
      take_missed_notifications(began)
      take_from_the_gone(began)
      if not window_left(window, width) then
        serve()
      end
      woken = redis.call('ZSCORE', told, place)
    end
    redis.call('PEXPIRE', waiting, TOLD_KEPT)
    if not woken then
      return { again_in, 0, redis.call('ZCARD', waiting), began, fresh }
    end
  end
  redis.call('PEXPIRE', told, TOLD_KEPT)
  if token == '' then
    return '1'
  end
end

local latest = redis.call('GET', fence)
--@include take_or_queue.lua
