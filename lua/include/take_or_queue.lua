-- Included at the end of a script: takes the lock for `operation` if that is due, or else queues it.
-- Uses `lock, queue, fence`, the fence's `latest` value, `token, operation, lease, first, kept`, and
-- `window, width`; needs holds, hand_over and window; returns what lock_acquire describes.

local holder = redis.call('GET', lock)
if holder == token and holds(latest, operation) then
  -- Granted before, and the answer was lost: the lease counts from the question, as if it were new.
  if lease ~= '0' then
    redis.call('PEXPIRE', lock, lease)
    redis.call('PEXPIRE', fence, kept)
  end
  return string.sub(latest, 1, 16)
end

local member = operation .. ' ' .. first .. ' ' .. token
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local added = 0
if first ~= '-1' then
  added = redis.pcall('ZADD', queue, 'NX', now, member)
  if type(added) == 'table' then
    -- Out of memory, say: who is queued already can wait on.
    if not redis.call('ZSCORE', queue, member) then
      return added
    end
    added = 0
  end
  if added == 1 and latest and string.byte(latest, -1) ~= 43 then
    redis.call('APPEND', fence, '+')
  end
end

local left = not holder and window_left(window, width)
local ttl = left or -1
if not holder and not left then
  local due = hand_over(lock, queue, fence, latest, member)
  if due == member or (not due and first == '-1') then
    if lease == '0' then
      redis.call('SET', lock, token)
    else
      redis.call('SET', lock, token, 'PX', lease)
    end
    return (grant(fence, latest, operation, lease))
  end
end
if first == '-1' then
  return 0
end

-- A queue that no living process asks about any more disappears by itself.
redis.call('PEXPIRE', queue, QUEUE_KEPT)
local rank = redis.call('ZRANK', queue, member) + 1
if rank == 1 and not left then
  ttl = redis.call('PTTL', lock)
end
return { ttl, rank, redis.call('ZCARD', queue), now, added }
