-- Included: one message for all operations of a session whose waiting ends.

-- Returns a list of {session, its operations}.
local function by_session(operations)
  local list, known = {}, {}
  for _, operation in ipairs(operations) do
    local session = string.match(operation, '^[^:]+')
    if not known[session] then
      known[session] = { session, {} }
      list[#list + 1] = known[session]
    end
    table.insert(known[session][2], operation)
  end
  return list
end

-- Tells the outcome 'open' or 'broken'; returns whether the session is connected.
local function tell_session(session, outcome, operations)
  local numbers = {}
  for i, operation in ipairs(operations) do
    numbers[i] = string.match(operation, '%d+$')
  end
  local message = session .. ' ' .. outcome .. ' ' .. table.concat(numbers, ' ')
  return redis.call('PUBLISH', 'dsync:inbox:' .. session, message) > 0
end
