-- Add a slot to a semaphore, for a release that has no permit to give back.
--
-- KEYS[1] slots   (string)  the number of free slots
-- KEYS[2] queue   (zset)    waiters, oldest first: member "<operation> <first>"
-- KEYS[3] permits (zset)    permits in use, as permit.lua describes them
-- KEYS[4] done    (hash)    the latest call of each session, as once.lua describes it
-- KEYS[5] limit   (string)  of a bounded semaphore, set once; of another it is not looked at
-- ARGV[1] operation         "<session>:<number>" of this release
-- ARGV[2] again             1: it may have been executed before, 0: not
-- ARGV[3] value             of the semaphore
-- ARGV[4] verb              'release', or 'bounded': not beyond the limit
--
-- Returns 1  there is one slot more, or it belongs to the oldest living waiter
--         3  that would exceed the limit, so nothing has changed
-- Publishes  a grant to the inbox of each waiter that gets a slot
-- Complexity O(log N) for N waiters and permits; each lease that is over is handled once

local slots, queue, permits, done, limit = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local operation, again, value, verb = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

--@include permit.lua
--@include slots.lua
--@include within_limit.lua
--@include once.lua

local clock = redis.call('TIME')
reclaim(clock)
if happened(done, operation, again) then
  return 1
end
if verb == 'bounded' and not within_limit(limit) then
  return 3
end
local free = free_slots(value)
write_anyway()
if verb == 'bounded' then
  redis.call('SET', limit, value, 'NX')
end
note(done, operation)
redis.call('SET', slots, hand_slot(clock) and free or free + 1)
return 1
