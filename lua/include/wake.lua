-- Included: wakes waiters of a condition. Needs holds, hand_over, by_session, `lock, queue, fence, waiting, told`.
--
-- `waiting` has those that wait, by the server's time (us) when they began; `told` has those that were
-- woken and have not confirmed it yet, by the time of the notification. A waiter that came with the lock
-- is "<operation> <first> <token>" and wakes by getting the lock, through the lock's queue; one without
-- is "<operation>" and is told through its inbox.
--
-- Who is not connected when its turn comes may be dead, or may be connecting anew. It stands aside then,
-- behind all others in `waiting`, and gets a notification only where nobody else wants it.

-- How long (ms) both keys outlive the last question of a waiter.
local TOLD_KEPT = 600000
-- Added to the time of those that stand aside. Sums are exact below 2^53.
local ASIDE = 2 ^ 52
-- For how long (us) nobody doubts that a woken waiter that is not connected will be so again soon.
local TRUSTED = 1000000
-- How many are woken at a time, with one message to each of their sessions.
local BATCH = 1000

local function parts(member)
  local operation, session = string.match(member, '^(([^:]+):%d+)')
  return operation, session
end

local function is_connected(member)
  local _, session = parts(member)
  return redis.call('PUBSUB', 'NUMSUB', 'dsync:inbox:' .. session)[2] > 0
end

local function has_lock(operation, token)
  return redis.call('GET', lock) == token and holds(redis.call('GET', fence), operation)
end

-- Lets one that came with the lock queue for it.
local function queue_for_lock(member, ticket)
  redis.call('ZADD', queue, 'NX', ticket, member)
  redis.call('PEXPIRE', queue, QUEUE_KEPT)
  local latest = redis.call('GET', fence)
  if latest and string.byte(latest, -1) ~= 43 then
    redis.call('APPEND', fence, '+')
  end
end

-- Tells those that came without the lock. Returns which sessions, of these, are connected.
local function tell_all(members)
  local operations, connected = {}, {}
  for _, member in ipairs(members) do
    if parts(member) == member then
      operations[#operations + 1] = member
    end
  end
  for _, each in ipairs(by_session(operations)) do
    connected[each[1]] = tell_session(each[1], 'open', each[2])
  end
  return connected
end

local function oldest_waiter()
  local oldest = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
  return oldest[1], tonumber(oldest[2])
end

local function note_told(member, limit)
  redis.call('ZREM', waiting, member)
  redis.call('ZADD', told, limit, member)
end

-- Wakes those of `members` that are connected, and lets the others stand aside. Returns how many woke.
local function wake_some(members, limit, now)
  local woken, connected = 0, tell_all(members)
  for _, member in ipairs(members) do
    local operation, session = parts(member)
    if connected[session] == nil then
      connected[session] = is_connected(member)
    end
    if connected[session] then
      if operation ~= member then
        queue_for_lock(member, now + woken)
      end
      note_told(member, limit)
      woken = woken + 1
    else
      redis.call('ZADD', waiting, redis.call('ZSCORE', waiting, member) + ASIDE, member)
    end
  end
  redis.call('PEXPIRE', told, TOLD_KEPT)
  return woken
end

-- Wakes up to `count` of those that waited at the time `limit` and are connected, oldest first; returns
-- how many.
local function wake(count, limit, now)
  local woken = 0
  while woken < count do
    local most = math.min(count - woken, BATCH)
    local members = redis.call('ZRANGEBYSCORE', waiting, '-inf', limit, 'LIMIT', 0, most)
    if #members == 0 then
      break
    end
    woken = woken + wake_some(members, limit, now + woken)
  end
  return woken
end

-- Gives notifications that nobody else wants to up to `count` of those that stand aside and waited at the
-- time `limit`: they find them when they ask again. Returns how many.
local function wake_aside(count, limit)
  local woken = 0
  while woken < count do
    local member = redis.call('ZRANGEBYSCORE', waiting, ASIDE, ASIDE + limit, 'LIMIT', 0, 1)[1]
    if not member then
      break
    end
    note_told(member, limit)
    woken = woken + 1
  end
  if woken > 0 then
    redis.call('PEXPIRE', told, TOLD_KEPT)
  end
  return woken
end

-- Who asks is connected.
local function come_back(member, since)
  if since >= ASIDE then
    redis.call('ZADD', waiting, since - ASIDE, member)
  end
end

-- Forgets those that are not connected, and began to wait, or were woken, long ago.
local function forget_the_gone(now)
  local long_ago = now - TOLD_KEPT * 1000
  redis.call('ZREMRANGEBYSCORE', waiting, ASIDE, ASIDE + long_ago)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', told, '-inf', long_ago, 'LIMIT', 0, 10)) do
    if not is_connected(member) then
      redis.call('ZREM', told, member)
    end
  end
end

-- A woken waiter that will not go on: the notification belongs to the next that waited when it was given.
local function pass_on(member, now)
  local told_at = redis.call('ZSCORE', told, member)
  if told_at then
    redis.call('ZREM', told, member)
    local woken = wake(1, tonumber(told_at), now)
    wake_aside(1 - woken, tonumber(told_at))
  end
end

-- Whether nobody may come to use the notification that this one was given.
local function is_gone(member, told_at, now)
  if now - told_at < TRUSTED or is_connected(member) then
    return false
  end
  -- Who has the lock knows of it, or will.
  local operation = parts(member)
  return operation == member or not has_lock(operation, string.match(member, '^[^ ]+ %d+ (.*)$'))
end

-- Gives what was meant for processes that are gone to others: somebody must find what no message tells.
local function take_from_the_gone(now)
  local _, began = oldest_waiter()
  if not began or began > now then
    return
  end
  local found = redis.call('ZRANGEBYSCORE', told, began, '+inf', 'WITHSCORES', 'LIMIT', 0, 10)
  for i = 1, #found, 2 do
    local member, told_at = found[i], tonumber(found[i + 1])
    if is_gone(member, told_at, now) and wake(1, told_at, now) == 1 then
      -- Should it come back, it has waited since then.
      redis.call('ZREM', told, member)
      redis.call('ZREM', queue, member)
      redis.call('ZADD', waiting, told_at + ASIDE, member)
    end
  end
end

-- Gives a lock that is free to whoever is due: a waiter that was just woken, say.
local function serve()
  if redis.call('EXISTS', lock) == 0 and redis.call('EXISTS', queue) == 1 then
    if not hand_over(lock, queue, fence, redis.call('GET', fence), nil) then
      redis.call('DEL', lock)
      redis.call('PEXPIRE', fence, FENCE_KEPT)
    end
  end
end
