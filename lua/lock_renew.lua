-- Make the leases of locks that are still held last longer; never take a lock again.
--
-- For the i-th of N locks:
-- KEYS[2i-1] lock  (string)  the token of the holder
-- KEYS[2i]   fence (string)  the latest grant, as lock_acquire describes it
-- ARGV[3i-2] token           of the lock object
-- ARGV[3i-1] operation       "<session>:<number>" of the grant
-- ARGV[3i]   lease     (ms)  from now on at least; 0 only asks
--
-- Returns {held, …}  for each lock 1: still held by that operation, 0: not
-- Publishes  nothing
-- Complexity O(N)

--@include holds.lua

-- How long (ms) a fence outlives its lease, as in hand_over.
local FENCE_KEPT = 600000

local held = {}
for i = 1, #KEYS / 2 do
  local lock, fence = KEYS[2 * i - 1], KEYS[2 * i]
  local token, operation, lease = ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i]
  held[i] = 0
  -- A key of another type is no lock of ours, and must not stop the renewal of the others.
  if redis.pcall('GET', lock) == token then
    if holds(redis.pcall('GET', fence), operation) then
      held[i] = 1
      -- Never shorter: a longer lease may have been asked for over another connection.
      local left = redis.call('PTTL', lock)
      if lease ~= '0' and left >= 0 and left < tonumber(lease) then
        redis.call('PEXPIRE', lock, lease)
        redis.call('PEXPIRE', fence, lease + FENCE_KEPT)
      end
    end
  end
end
return held
