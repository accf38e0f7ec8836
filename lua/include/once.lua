-- Included: makes a call happen once. A session numbers its calls, and sends those again that had no
-- answer when a connection broke, in their order; so the latest number of each session is enough.

-- Tells whether the call has been executed before; `again` is '1' where that is possible.
local function happened(done, operation, again)
  local session, number = string.match(operation, '^([^:]+):(%d+)$')
  return again == '1' and tonumber(redis.call('HGET', done, session) or 0) >= tonumber(number)
end

local function note(done, operation)
  local session, number = string.match(operation, '^([^:]+):(%d+)$')
  redis.call('HSET', done, session, number)
  -- Ten minutes: longer than anybody tries to send something again.
  redis.call('PEXPIRE', done, 600000)
end
