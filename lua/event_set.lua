-- Set or clear an event.
--
-- KEYS[1] event (string)  '1' is set, all else is not
-- KEYS[2] done  (hash)    the latest call of each session, as once.lua describes it
-- ARGV[1] operation       "<session>:<number>" of this call
-- ARGV[2] again           1: it may have been executed before, 0: not
-- ARGV[3] value           '1' sets, '0' clears
-- ARGV[4] channel         of the event
--
-- Returns 1  done, now or before
-- Publishes  '1' on the channel when it sets, to all waiters of the fleet
-- Complexity O(1)

local event, done = KEYS[1], KEYS[2]
local operation, again, value, channel = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

--@include once.lua

if happened(done, operation, again) then
  return 1
end
note(done, operation)
-- First, because the user may have no right to it. Nobody hears it before this script has ended.
if value == '1' then
  redis.call('PUBLISH', channel, '1')
end
redis.call('SET', event, value)
return 1
