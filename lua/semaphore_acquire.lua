-- Take one slot of a semaphore for one operation, or queue that operation behind the others.
--
-- KEYS[1] slots   (string)  the number of free slots, as every process of the fleet sees it
-- KEYS[2] queue   (zset)    waiters, oldest first: member "<operation> <first>"
-- KEYS[3] permits (zset)    permits in use, as permit.lua describes them
-- KEYS[4] window  (string)  only while a fleet migrates: see window.lua
-- ARGV[1] operation         "<session>:<number>", the same when the command is sent again
-- ARGV[2] lease       (ms)  0 is none
-- ARGV[3] first       (ms)  lease of a grant by message, 0 is none; -1 does not queue
-- ARGV[4] value             of the semaphore: its free slots while the counter is absent
-- ARGV[5] width       (ms)  as KEYS[4]
--
-- Returns '1'                                granted to this operation, now or before
--         {ttl ms, rank, length, us, added}  queued: when the first lease of a permit ends (-1: there is
--                                            none, or behind the first rank), the 1-based rank, the
--                                            queue's length, the server's time, and whether it was not
--                                            queued before (1 or 0)
--         0                                  no slot is free, and not queued
-- Publishes  a grant to the inbox of each waiter that gets a slot
-- Complexity O(log N) for N waiters and permits; each lease that is over is handled once

local slots, queue, permits, window = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local operation, lease, first, value, width = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

--@include permit.lua

local clock = redis.call('TIME')

-- Returns nothing where it has a permit already.
local function take(free)
  if add_permit(operation, lease, clock) == 1 then
    redis.call('SET', slots, free - 1)
    return '1'
  end
end

local function take_at_once(free)
  if free > 0 and redis.call('EXISTS', queue) == 0 then
    return take(free)
  end
end

local free = tonumber(redis.call('GET', slots) or 0)
local ending = redis.call('ZRANGE', permits, 0, 0, 'WITHSCORES')[2]
local none_over = not ending or tonumber(ending) >= now_ms(clock)
if none_over and take_at_once(free) then
  return '1'
end

--@include slots.lua
--@include window.lua
reclaim(clock)
free = free_slots(value)
if take_at_once(free) then
  return '1'
end
if redis.call('ZSCORE', permits, record(operation, lease)) then
  -- Granted before, and the answer was lost: the lease counts from the question, as if it were new.
  if lease ~= '0' then
    write_anyway()
    redis.call('ZADD', permits, 'XX', now_ms(clock) + lease, operation)
  end
  return '1'
end

local member = operation .. ' ' .. first
local now = clock[1] * 1000000 + clock[2]
local added = 0
if first ~= '-1' then
  added = redis.pcall('ZADD', queue, 'NX', now, member)
  if type(added) == 'table' then
    -- Out of memory, say: who is queued already can wait on.
    if not redis.call('ZSCORE', queue, member) then
      return added
    end
    added = 0
  end
end
local left = free > 0 and window_left(window, width)
while free > 0 and not left do
  local due = hand_slot(clock, member)
  if due == member or (not due and first == '-1') then
    return take(free)
  elseif not due then
    break
  end
  free = free - 1
  redis.call('SET', slots, free)
end
if first == '-1' then
  return 0
end

redis.call('PEXPIRE', queue, KEPT)
local rank = redis.call('ZRANK', queue, member) + 1
local ttl = left or -1
if rank == 1 and not left then
  local ending = redis.call('ZRANGE', permits, 0, 0, 'WITHSCORES')[2]
  ttl = ending and math.max(ending - now_ms(clock), 0) or -1
end
return { ttl, rank, redis.call('ZCARD', queue), now, added }
