-- Included where `latest` is the fence's value or false: counts the next fencing token, as 16 `digits`.
-- It is the server's time in microseconds, or one more than the last where the clock did not move on. So
-- it grows with every grant, and goes on growing when the key or the server is lost.
local clock = redis.call('TIME')
local digits = clock[1] .. string.sub('00000' .. clock[2], -6)
if latest and latest >= digits then
  local last = tonumber(string.sub(latest, 1, 16))
  -- What is no number was not written by a grant.
  if last then
    digits = string.format('%016.0f', last + 1)
  end
end
