-- Tell how many slots of a semaphore are free.
--
-- KEYS[1] slots   (string)  the number of free slots
-- KEYS[2] queue   (zset)    waiters, oldest first: member "<operation> <first>"
-- KEYS[3] permits (zset)    permits in use, as permit.lua describes them
-- ARGV[1] value             of the semaphore
--
-- Returns the number of free slots
-- Publishes  a grant to the inbox of each waiter that gets the slot of a lease that is over
-- Complexity O(log N) for N waiters and permits; each lease that is over is handled once

local slots, queue, permits = KEYS[1], KEYS[2], KEYS[3]

--@include permit.lua
--@include slots.lua

reclaim(redis.call('TIME'))
return free_slots(ARGV[1])
