-- A ticket leaves the queue, to run or to go.
local function leave_queue(id, rank, caller)
  call('ZREM', QUEUE, id)
  call('ZREM', DEADLINES, id)
  local place = FIRST_QUEUE + rank
  S[place] = S[place] - 1
  if caller ~= '' then callers().waits_no_more(caller, rank) end
end
