-- Included: record a grant and count its fencing token.

-- How long (ms) a fence outlives its lease: longer than a server's clock steps back.
local FENCE_KEPT = 600000

-- The token is the server's time in microseconds, or one more than the last where the clock did not
-- move on. So it grows with every grant, and goes on growing when the key or the server is lost.
local function grant(fence, last, operation, lease)
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  local token = now
  if last >= now then
    token = last + 1
  end
  local value = string.format('%.0f %s', token, operation)
  if lease == '0' then
    redis.call('SET', fence, value)
  else
    redis.call('SET', fence, value, 'PX', lease + FENCE_KEPT)
  end
  return token, now
end
