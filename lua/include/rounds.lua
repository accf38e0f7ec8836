-- Included: the rounds of a barrier. `count` has the arrivals so far, as every process of the fleet sees
-- it; those of dsync are in `parties` besides (score: the number of parties that they want). When a round
-- ends, each of them is told through its inbox, one message a session, and its outcome stands in `told`
-- until it has confirmed that it knows.
--
-- An old process ends a round by setting the count to 0 and saying why on its channel. Until that is
-- heard, the parties of such a round are in `ended` (score: since when, ms). Needs all four keys.

-- How long (ms) an outcome that nobody asks for is kept, and an end whose reason nobody heard.
local TOLD_KEPT, UNHEARD_KEPT = 600000, 1000

local function arrivals()
  return tonumber(redis.call('GET', count) or 0)
end

-- Returns a list of {session, its operations}.
local function by_session(members)
  local list, known = {}, {}
  for _, operation in ipairs(members) do
    local session = string.match(operation, '^[^:]+')
    if not known[session] then
      known[session] = { session, {} }
      list[#list + 1] = known[session]
    end
    table.insert(known[session][2], operation)
  end
  return list
end

-- Takes the parties of processes that are gone out of the round.
local function forget_the_dead()
  for _, each in ipairs(by_session(redis.call('ZRANGE', parties, 0, -1))) do
    if redis.call('PUBSUB', 'NUMSUB', 'dsync:inbox:' .. each[1])[2] == 0 then
      for _, operation in ipairs(each[2]) do
        redis.call('ZREM', parties, operation)
        redis.call('DECR', count)
      end
    end
  end
end

-- Ends the round of those in `key`, with the outcome 'open' or 'broken'. The caller answers `own` itself.
local function finish(key, outcome, own)
  for _, each in ipairs(by_session(redis.call('ZRANGE', key, 0, -1))) do
    local numbers = {}
    for _, operation in ipairs(each[2]) do
      redis.call('HSET', told, operation, outcome)
      if operation ~= own then
        numbers[#numbers + 1] = string.match(operation, '%d+$')
      end
    end
    if #numbers > 0 then
      local message = each[1] .. ' ' .. outcome .. ' ' .. table.concat(numbers, ' ')
      redis.call('PUBLISH', 'dsync:inbox:' .. each[1], message)
    end
  end
  redis.call('DEL', key)
  redis.call('PEXPIRE', told, TOLD_KEPT)
end

-- Notices that an old process has ended the round.
local function notice_the_end(now)
  if arrivals() < redis.call('ZCARD', parties) then
    for _, operation in ipairs(redis.call('ZRANGE', parties, 0, -1)) do
      redis.call('ZADD', ended, now, operation)
    end
    redis.call('DEL', parties)
    redis.call('PEXPIRE', ended, TOLD_KEPT)
  end
end
