-- Included: tells whether a bounded semaphore has room for one more free slot. The first release in the
-- fleet sets the limit. Needs slots.lua and `value`.
local function within_limit(limit)
  return free_slots(value) < tonumber(redis.call('GET', limit) or value)
end
