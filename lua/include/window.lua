-- Included: the window for old processes. They take only what is free, and a hand-over never frees. So
-- while a fleet migrates, once in four widths of time a release leaves free what it would hand over, and
-- for one width nobody of the queue is served. At all other times `width` (ms) is nil.

local function begins_window(window, width)
  return width and redis.call('SET', window, '1', 'NX', 'PX', 4 * width)
end

-- Returns the ms that are left of the window, or something false.
local function window_left(window, width)
  local left = width and redis.call('PTTL', window) - 3 * width
  return left and left > 0 and left
end
