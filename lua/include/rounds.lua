-- Included: the rounds of a barrier. `count` has the arrivals so far, as every process of the fleet sees
-- it; those of dsync are in `parties` besides (score: the number of parties that they want). When a round
-- ends, each of them is told through its inbox, one message a session, and its outcome stands in `told`
-- until it has confirmed that it knows.
--
-- An old process ends a round by setting the count to 0 and saying why on its channel. Until that is
-- heard, the parties of such a round are in `ended` (score: since when, ms). Needs by_session and all four keys.
--
-- While parties of dsync wait, the count has the same time to live as `parties`. Setting it takes that
-- away, so the end of a round is seen even when old processes have arrived in the next one meanwhile.

-- How long (ms) an outcome that nobody asks for is kept, and an end whose reason nobody heard; and parties
-- of which none asks any more: old processes may wait with them, and lose their places then.
local TOLD_KEPT, UNHEARD_KEPT, PARTIES_KEPT = 600000, 1000, 86400000

local function arrivals()
  return tonumber(redis.call('GET', count) or 0)
end

-- After each change of `parties` within a round.
local function keep()
  if redis.call('PEXPIRE', parties, PARTIES_KEPT) == 1 then
    redis.call('PEXPIRE', count, PARTIES_KEPT)
  else
    redis.call('SET', count, arrivals())
  end
end

-- Takes the parties of processes that are gone out of the round.
local function forget_the_dead()
  for _, each in ipairs(by_session(redis.call('ZRANGE', parties, 0, -1))) do
    if redis.call('PUBSUB', 'NUMSUB', 'dsync:inbox:' .. each[1])[2] == 0 then
      for _, operation in ipairs(each[2]) do
        redis.call('ZREM', parties, operation)
        redis.call('DECR', count)
      end
      keep()
    end
  end
end

-- Ends the round of those in `key`, with the outcome 'open' or 'broken'. The caller answers `own` itself.
local function finish(key, outcome, own)
  local others = {}
  for _, operation in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    redis.call('HSET', told, operation, outcome)
    if operation ~= own then
      others[#others + 1] = operation
    end
  end
  for _, each in ipairs(by_session(others)) do
    tell_session(each[1], outcome, each[2])
  end
  redis.call('DEL', key)
  redis.call('PEXPIRE', told, TOLD_KEPT)
end

-- Notices that an old process has ended the round, or that one of the two keys was deleted or evicted
-- alone; what old processes had counted is lost then.
local function notice_the_end(now)
  local waiting, life = redis.call('ZCARD', parties), redis.call('PTTL', count)
  if waiting == 0 then
    if life > 0 then
      -- Only parties give it an end. They will come again, and may not be counted twice.
      redis.call('SET', count, '0')
    end
  elseif life == -2 then
    redis.call('SET', count, waiting)
    keep()
  elseif life == -1 or arrivals() < waiting then
    for _, operation in ipairs(redis.call('ZRANGE', parties, 0, -1)) do
      redis.call('ZADD', ended, now, operation)
    end
    redis.call('DEL', parties)
    redis.call('PEXPIRE', ended, TOLD_KEPT)
  end
end
