-- Make the leases of permits that are still in use last longer; take back those that are over.
--
-- For the i-th of N permits:
-- KEYS[3i-2] slots   (string)  the number of free slots of its semaphore
-- KEYS[3i-1] queue   (zset)    waiters, oldest first: member "<operation> <first>"
-- KEYS[3i]   permits (zset)    permits in use, as permit.lua describes them
-- ARGV[2i-1] operation         "<session>:<number>" of the grant
-- ARGV[2i]   lease       (ms)  from now on at least; 0 only asks
--
-- Returns {held, …}  for each permit 1: still held by that operation, 0: not
-- Publishes  a grant to the inbox of each waiter that gets a slot
-- Complexity O(N log M) for M waiters and permits

local held = {}
local clock = redis.call('TIME')
for i = 1, #KEYS / 3 do
  local slots, queue, permits = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
  local operation, lease = ARGV[2 * i - 1], ARGV[2 * i]
  --@include permit.lua
  --@include slots.lua
  -- A key of another type must not stop the renewal of the others.
  held[i] = 0
  if redis.pcall('TYPE', permits).ok == 'zset' then
    local ending = redis.call('ZSCORE', permits, operation)
    if ending and tonumber(ending) >= now_ms(clock) then
      held[i] = 1
      -- Never shorter: a longer lease may have been asked for over another connection.
      if now_ms(clock) + lease > tonumber(ending) then
        write_anyway()
        redis.call('ZADD', permits, 'XX', now_ms(clock) + lease, operation)
      end
    end
    reclaim(clock)
  end
end
return held
