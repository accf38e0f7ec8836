-- Tell whether an event is set.
--
-- KEYS[1] event (string)  '1' is set, all else is not
--
-- Returns '1'               it is set
--         {-1, 1, 1, 0, 0}  it is not, as a place in a queue is told
-- Publishes  nothing
-- Complexity O(1)

if redis.call('GET', KEYS[1]) == '1' then
  return '1'
end
return { -1, 1, 1, 0, 0 }
