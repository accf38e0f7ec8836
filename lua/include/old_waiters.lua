-- Included: what old processes and ours tell each other of a condition. An old notification adds to
-- `counter` and publishes to `listened`; whoever hears it takes one from the counter, and goes on only where
-- it was positive. Needs wake, `counter, reserved, waiting, listened, listeners`.

-- How long (ms) a notification of ours is kept for the old waiter that it is meant for.
local RESERVED_MS = 1000

-- How many old waiters there are: subscribers that are none of ours.
local function old_waiters()
  local count = redis.call('PUBSUB', 'NUMSUB', listened, listeners)
  return count[2] - count[4]
end

-- Wakes up to `count` old waiters; returns how many.
local function wake_old(count)
  local pending = tonumber(redis.call('GET', counter) or 0)
  local woken = math.max(math.min(count, old_waiters() - pending), 0)
  if woken > 0 then
    redis.call('INCRBY', counter, woken)
    redis.call('SET', reserved, pending + woken, 'PX', RESERVED_MS)
    redis.call('PUBLISH', listened, '1')
  end
  return woken
end

-- Wakes waiters of ours for what old processes notified. Returns in how many ms there may be more, -1
-- where there is not.
local function take_old_notifications(now)
  local pending = tonumber(redis.call('GET', counter) or 0)
  local ours = math.min(tonumber(redis.call('GET', reserved) or 0), pending)
  local woken = wake(pending - ours, now, now)
  woken = woken + wake_aside(pending - ours - woken, now)
  if woken > 0 then
    redis.call('DECRBY', counter, woken)
    serve()
  end
  if ours > 0 then
    return redis.call('PTTL', reserved)
  end
  return -1
end

-- While no old waiter listens, what is pending belongs to those of ours that wait: their connections may
-- have been broken when it was published.
local function take_missed_notifications(now)
  if tonumber(redis.call('GET', counter) or 0) > 0 and old_waiters() <= 0 then
    take_old_notifications(now)
    return true
  end
end

-- Before a new waiter comes: what nobody takes then was given when nobody waited.
local function forget_stale_notifications(now)
  if take_missed_notifications(now) then
    redis.call('DEL', counter, reserved)
  end
end
