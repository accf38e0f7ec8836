-- Included: how a permit stands in `permits`. Needs `permits`.
--
-- A permit is a member "<operation>", whose score is the end of its lease (ms); its slot comes back then.
-- Without a lease it is "<operation> -" until the waiter has confirmed that it knows; then nothing is
-- known of it but the counter.

-- How long (ms) a queue outlives the last question of a waiter, and a permit without lease its grant.
local KEPT = 600000

local function now_ms(clock)
  return clock[1] * 1000 + math.floor(clock[2] / 1000)
end

local function record(operation, lease)
  if lease == '0' then
    return operation .. ' -'
  end
  return operation
end

-- Returns 0 where the operation has it already.
local function add_permit(operation, lease, clock)
  local life = lease == '0' and KEPT or lease
  return redis.call('ZADD', permits, 'NX', now_ms(clock) + life, record(operation, lease))
end
