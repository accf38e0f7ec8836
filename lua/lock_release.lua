-- Give back what one operation has of the lock: the lock itself, or its place in the queue.
--
-- KEYS[1] lock  (string)  the token of the holder
-- KEYS[2] queue (zset)    waiters, oldest ticket first
-- KEYS[3] fence (string)  "<fencing token> <operation>" of the latest grant
-- ARGV[1] token           of the lock object
-- ARGV[2] operation       "<session>:<number>"
-- ARGV[3] lease     (ms)  0 is no expiry
-- ARGV[4] first     (ms)  as the acquire said, because it is part of the queue's member
--
-- Returns 1  it held the lock, which is now free or handed to the oldest living waiter
--         2  it was queued, and is no longer
--         0  it had neither
-- Publishes  a grant to the inbox of the waiter that is due (see hand_over)
-- Complexity O(log N) for N waiters; a waiter whose process is gone is popped once

local lock, queue, fence = KEYS[1], KEYS[2], KEYS[3]
local token, operation, lease, first = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if redis.call('GET', lock) == token then
  local latest = redis.call('GET', fence)
  -- Several operations may share a token, so the token alone does not tell who holds.
  if latest and string.match(latest, ' (.*)$') == operation then
    --@include grant.lua
    if lease == '0' then
      redis.call('PEXPIRE', fence, FENCE_KEPT)
    end
    --@include hand_over.lua
    local last = tonumber(string.match(latest, '^%d+'))
    if not hand_over(lock, queue, fence, last, nil) then
      redis.call('DEL', lock)
    end
    return 1
  end
end
if redis.call('ZREM', queue, operation .. ' ' .. first .. ' ' .. token) == 1 then
  return 2
end
return 0
