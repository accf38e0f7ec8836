-- Included: tells whether the latest grant was that of `operation`. Several operations may share a
-- token, so the token alone does not tell who holds the lock.
local function holds(latest, operation)
  local holder = type(latest) == 'string' and string.sub(latest, 18)
  return holder == operation or holder == operation .. '+'
end
