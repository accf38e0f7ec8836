-- End the waiting of one operation for a notification, or confirm that it was woken.
--
-- KEYS[1] lock     (string)  of the condition
-- KEYS[2] queue    (zset)    waiters for the lock
-- KEYS[3] fence    (string)  the latest grant, as lock_acquire describes it
-- KEYS[4] waiting  (zset)    waiters for a notification, as wake.lua describes them
-- KEYS[5] told     (zset)    those that were woken, likewise
-- ARGV[1] token              of the lock object; empty: the operation came without the lock
-- ARGV[2] operation          "<session>:<number>"
-- ARGV[3] first     (ms)     as condition_wait said, because it is part of the waiter's place
-- ARGV[4] verb               'confirm', or 'leave': a notification that it had goes to another
--
-- Returns 1  it was woken
--         2  it waited, and does no longer
--         0  neither
-- Publishes  a wake-up or a grant to the inbox of the waiter that is due
-- Complexity O(log N) for N waiters

local lock, queue, fence, waiting, told = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local token, operation, first, verb = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local place = operation
if token ~= '' then
  place = operation .. ' ' .. first .. ' ' .. token
end
if verb == 'confirm' then
  -- A question that was on its way when it was woken may have made it wait anew.
  redis.call('ZREM', waiting, place)
  return redis.call('ZREM', told, place)
end
--@include holds.lua
--@include hand_over.lua
--@include by_session.lua
--@include wake.lua
if redis.call('ZREM', waiting, place) == 1 then
  return 2
elseif not redis.call('ZSCORE', told, place) then
  return 0
end
local clock = redis.call('TIME')
pass_on(place, clock[1] * 1000000 + clock[2])
serve()
return 1
