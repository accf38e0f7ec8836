-- Give back what one operation has of the lock: the lock itself, or its place in the queue.
--
-- KEYS[1] lock  (string)  the token of the holder
-- KEYS[2] queue (zset)    waiters, oldest first: member "<operation> <first> <token>"
-- KEYS[3] fence (string)  the latest grant, as lock_acquire describes it
-- ARGV[1] token           of the lock object
-- ARGV[2] operation       "<session>:<number>"
-- ARGV[3] first     (ms)  as the acquire said, because it is part of the queue's member; 0 is no expiry
-- KEYS[4] window (string) only while a fleet migrates: see window.lua
-- ARGV[4] width     (ms)  likewise
--
-- Returns 1  it held the lock, which is now free or handed to the oldest living waiter
--         2  it was queued, and is no longer
--         0  it had neither
-- Publishes  a grant to the inbox of the waiter that is due (see hand_over)
-- Complexity O(log N) for N waiters; a waiter whose process is gone is popped once

local lock, queue, fence = KEYS[1], KEYS[2], KEYS[3]
local token, operation, first = ARGV[1], ARGV[2], ARGV[3]

local values = redis.call('MGET', lock, fence)
local latest = values[2]
if values[1] == token and latest then
  local holder = string.sub(latest, 18)
  if holder == operation and first ~= '0' then
    -- Nobody has queued since the grant.
    redis.call('DEL', lock)
    return 1
  end
  --@include holds.lua
  if holds(latest, operation) then
    --@include hand_over.lua
    --@include window.lua
    local window, width = KEYS[4], ARGV[4]
    local opens = width and redis.call('EXISTS', queue) == 1 and begins_window(window, width)
    if opens or not hand_over(lock, queue, fence, latest, nil) then
      redis.call('DEL', lock)
      -- The fence of a lock without expiry has none either.
      redis.call('PEXPIRE', fence, FENCE_KEPT)
    end
    return 1
  end
end
if redis.call('ZREM', queue, operation .. ' ' .. first .. ' ' .. token) == 1 then
  return 2
end
if first == '0' and values[1] == token and not latest then
  -- The fence was deleted, so nobody can tell who holds; but nothing else would ever end this lock.
  redis.call('DEL', lock)
end
return 0
