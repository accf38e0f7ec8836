-- Included: give the lock to the oldest waiter whose process is alive.

-- How long (ms) a queue outlives the last question of a waiter.
local QUEUE_KEPT = 600000
-- How long (ms) a fence outlives its lease: longer than a server's clock steps back.
local FENCE_KEPT = 600000

-- Records a grant, with the mark that others may be queued. Returns its fencing token and
-- the server's time.
local function grant(fence, latest, operation, lease)
  --@include count_fence.lua
  local value = digits .. ' ' .. operation .. '+'
  if lease == '0' then
    redis.call('SET', fence, value)
  else
    redis.call('PSETEX', fence, lease + FENCE_KEPT, value)
  end
  return digits, clock
end

-- Returns the member that the lock belongs to now: `own`, when that one is the oldest (the caller then
-- takes the lock by its own reply), or one that was told through its inbox. Returns nothing when nobody
-- alive is left; the caller then sets or deletes the lock key, whose value means nothing any more.
local function hand_over(lock, queue, fence, latest, own)
  while true do
    local member = redis.call('ZPOPMIN', queue)[1]
    if not member or member == own then
      return member
    end
    local operation, session, first, token = string.match(member, '^(([^:]+):%d+) (%d+) (.*)$')
    local set
    if first == '0' then
      set = redis.pcall('SET', lock, token)
    else
      set = redis.pcall('SET', lock, token, 'PX', first)
    end
    if set.err then
      -- Out of memory: nobody is told, and the waiter finds the free lock when it asks again.
      return nil
    end
    local digits, clock = grant(fence, latest, operation, first)
    local message = operation .. ' ' .. digits .. ' ' .. clock[1] .. ' ' .. clock[2]
    if redis.call('PUBLISH', 'dsync:inbox:' .. session, message) > 0 then
      return member
    end
  end
end
