-- Included after grant.lua: give the lock to the oldest waiter whose process is alive.

-- How long (ms) a queue outlives the last question of a waiter.
local QUEUE_KEPT = 600000

-- Returns the member that the lock belongs to now: `own`, when that one is the oldest (the caller then
-- takes the lock by its own reply), or one that was told through its inbox. Returns nothing when nobody
-- alive is left; the lock key is then as unsafe as before, and the caller sets or deletes it.
local function hand_over(lock, queue, fence, last, own)
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
    local number, now = grant(fence, last, operation, first)
    local message = string.format('%s %.0f %.0f', operation, number, now)
    if redis.call('PUBLISH', 'dsync:inbox:' .. session, message) > 0 then
      return member
    end
  end
end
