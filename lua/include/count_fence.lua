-- Included where `latest` is the fence's value or false: counts the next fencing token, as 16 `digits`.
-- It is the server's time in microseconds, or what follows the last where the clock did not move on. So
-- it grows with every grant, and goes on growing when the key or the server is lost.

-- So many tokens behind each grant are free for those that get the lock from its holder, without the
-- server; as kLocalTurns in local_queues.h.
local LOCAL_TURNS = 16

local clock = redis.call('TIME')
local digits = clock[1] .. string.sub('00000' .. clock[2], -6)
-- What is no number was not written by a grant.
local last = latest and tonumber(string.sub(latest, 1, 16))
if last and last + LOCAL_TURNS >= tonumber(digits) then
  digits = string.format('%016.0f', last + LOCAL_TURNS + 1)
end
