-- Included: wakes waiters of a condition. Needs hand_over, `lock, queue, fence, waiting, told`.
--
-- `waiting` has those that wait, by the server's time (us) when they began; `told` has those that were
-- woken and have not confirmed it yet, by the time of the notification. A waiter that came with the lock
-- is "<operation> <first> <token>" and wakes by getting the lock, through the lock's queue; one without
-- is "<operation>" and is told through its inbox.

-- How long (ms) both keys outlive the last change.
local TOLD_KEPT = 600000

local function is_connected(session)
  return redis.call('PUBSUB', 'NUMSUB', 'dsync:inbox:' .. session)[2] > 0
end

-- Tells one waiter; returns whether its process is alive.
local function tell(member, ticket)
  local operation, session = string.match(member, '^(([^:]+):%d+)')
  if operation == member then
    return redis.call('PUBLISH', 'dsync:inbox:' .. session, operation .. ' 1 0 0') > 0
  elseif not is_connected(session) then
    return false
  end
  redis.call('ZADD', queue, 'NX', ticket, member)
  redis.call('PEXPIRE', queue, QUEUE_KEPT)
  local latest = redis.call('GET', fence)
  if latest and string.byte(latest, -1) ~= 43 then
    redis.call('APPEND', fence, '+')
  end
  return true
end

-- Wakes up to `count` of those that waited at the time `limit`, oldest first; returns how many.
local function wake(count, limit, now)
  local woken = 0
  while woken < count do
    local oldest = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
    local member = oldest[1]
    if not member or tonumber(oldest[2]) > limit then
      break
    end
    redis.call('ZREM', waiting, member)
    if tell(member, now + woken) then
      redis.call('ZADD', told, limit, member)
      woken = woken + 1
    end
  end
  if woken > 0 then
    redis.call('PEXPIRE', told, TOLD_KEPT)
    redis.call('ZREMRANGEBYSCORE', told, '-inf', now - TOLD_KEPT * 1000)
  end
  return woken
end

-- A woken waiter that will not go on: the notification belongs to the next that waited when it was given.
local function pass_on(member, now)
  local told_at = redis.call('ZSCORE', told, member)
  if told_at then
    redis.call('ZREM', told, member)
    wake(1, tonumber(told_at), now)
  end
end

-- Gives a lock that is free to whoever is due: a waiter that was just woken, say.
local function serve()
  if redis.call('EXISTS', lock) == 0 and redis.call('EXISTS', queue) == 1 then
    hand_over(lock, queue, fence, redis.call('GET', fence), nil)
  end
end
