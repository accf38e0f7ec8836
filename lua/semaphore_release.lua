-- Give back what one operation has of a semaphore: its slot, or its place in the queue.
--
-- KEYS[1] slots   (string)  the number of free slots
-- KEYS[2] queue   (zset)    waiters, oldest first: member "<operation> <first>"
-- KEYS[3] permits (zset)    permits in use, as permit.lua describes them
-- KEYS[4] limit   (string)  of a bounded semaphore, set once; of another it is not looked at
-- KEYS[5] window  (string)  only while a fleet migrates: see window.lua
-- ARGV[1] operation         "<session>:<number>"
-- ARGV[2] first       (ms)  as the acquire said, because it is part of the queue's member; 0 is no lease
-- ARGV[3] value             of the semaphore
-- ARGV[4] verb              'release'; 'bounded': the same, but not beyond the limit; 'confirm': only
--                           forget a permit without lease, whose slot stays taken
-- ARGV[5] width       (ms)  as KEYS[5]
--
-- Returns 1  it had a slot, which is free now or belongs to the oldest living waiter; or it was confirmed
--         2  it was queued, and is no longer
--         3  the release would exceed the limit, so nothing has changed
--         0  it had neither
-- Publishes  a grant to the inbox of each waiter that gets a slot
-- Complexity O(log N) for N waiters and permits; each lease that is over is handled once

local slots, queue, permits = KEYS[1], KEYS[2], KEYS[3]
local operation, first, value, verb, width = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

--@include permit.lua

local permit = record(operation, first)
if verb == 'confirm' then
  return redis.call('ZREM', permits, permit)
end
-- A lease that is over but was not taken back is given back as any other: nobody has had the slot since.
local had = verb == 'release' and redis.call('ZREM', permits, permit) == 1
if had then
  -- What is over is left to those that need a slot, unless they wait. A queue counts twice.
  local found = redis.call('EXISTS', slots, queue, queue)
  if found == 1 then
    redis.call('INCR', slots)
  end
  if found < 2 then
    return 1
  end
end

--@include slots.lua
--@include window.lua
--@include within_limit.lua

local clock = redis.call('TIME')
reclaim(clock)
local bounded = verb == 'bounded'
if bounded and redis.call('ZSCORE', permits, permit) and not within_limit(KEYS[4]) then
  return 3
end
had = had or redis.call('ZREM', permits, permit) == 1
if had and bounded then
  redis.call('SET', KEYS[4], value, 'NX')
end
if had then
  if width and redis.call('EXISTS', queue) == 1 and begins_window(KEYS[5], width) then
    free_one()
  else
    give_back(clock)
  end
  return 1
end
if redis.call('ZREM', queue, operation .. ' ' .. first) == 1 then
  return 2
end
return 0
