-- Included: the slots of a semaphore. Its counter holds the free ones, as every process of the fleet sees
-- it, and while it is absent all but the permits in use are free. Needs permit.lua, `slots, queue, permits`.

-- A server that is out of memory refuses what adds, but only as the first write of a script. What holds
-- a permit, or gives one back, must not fail for that: it writes this before, which changes nothing.
local function write_anyway()
  redis.call('ZREM', permits, '')
end

local function free_slots(value)
  local free = redis.call('GET', slots)
  if free then
    return tonumber(free)
  end
  return math.max(tonumber(value) - redis.call('ZCARD', permits), 0)
end

-- Gives a slot to the oldest waiter whose process is alive. Returns its member, or nothing where there is
-- none; `own` is not told: the caller answers it.
local function hand_slot(clock, own)
  while true do
    local popped
    if own then
      popped = redis.call('ZPOPMIN', queue)
    else
      -- What is given back has been taken away before, so a queue that is none must not stop it.
      popped = redis.pcall('ZPOPMIN', queue)
    end
    local member = popped[1]
    if not member or member == own then
      return member
    end
    local operation, session, first = string.match(member, '^(([^:]+):%d+) (%d+)$')
    add_permit(operation, first, clock)
    local message = operation .. ' 1 ' .. clock[1] .. ' ' .. clock[2]
    if redis.call('PUBLISH', 'dsync:inbox:' .. session, message) > 0 then
      return member
    end
    redis.call('ZREM', permits, record(operation, first))
  end
end

-- Leaves a slot free whose permit is gone; where the counter is absent, that is all.
local function free_one()
  if redis.call('EXISTS', slots) == 1 then
    redis.call('INCR', slots)
  end
end

local function give_back(clock)
  if not hand_slot(clock) then
    free_one()
  end
end

-- Takes back the slots of permits whose lease is over, and forgets what nobody confirmed. As with keys
-- that expire, the millisecond in which a lease ends is still part of it: it began within one.
local function reclaim(clock)
  local over = redis.call('ZRANGEBYSCORE', permits, '-inf', '(' .. now_ms(clock), 'LIMIT', 0, 100)
  for _, member in ipairs(over) do
    redis.call('ZREM', permits, member)
    if string.sub(member, -1) ~= '-' then
      give_back(clock)
    end
  end
end
