-- wrk's side: send the deliveries of a file one after the other and note which of them were answered 2xx.
-- Arguments: the file of deliveries (six digits of length, then the request's bytes, again and again), the file for
-- the answered request ids, the file for the figures, and which part of the file is walked: the number of the first
-- delivery and the distance to the next one. One wrk thread only: the part is walked once.

local input, answered, every
ok, refused, turns, unnamed = 0, 0, 0, 0
statuses = {}
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  input = assert(io.open(arguments[1], "rb"))
  input:setvbuf("full", 262144)
  answered = assert(io.open(arguments[2], "w"))
  answered:setvbuf("full", 262144)
  figures = arguments[3]
  every = tonumber(arguments[5])
  for _ = 1, tonumber(arguments[4]) do
    following()
  end
end

function following()
  local length = input:read(6)
  if length == nil then
    turns = turns + 1
    input:seek("set", 0)
    length = input:read(6)
  end
  return input:read(tonumber(length))
end

function request()
  local delivery = following()
  for _ = 2, every do
    following()
  end
  return delivery
end

function response(status, _, body)
  if status >= 200 and status < 300 then
    ok = ok + 1
    local id = string.match(body, '"request_id": ?"([^"]+)"')
    if id == nil then
      unnamed = unnamed + 1
    else
      answered:write(id, "\n")
    end
  else
    refused = refused + 1
    statuses[tostring(status)] = (statuses[tostring(status)] or 0) + 1
  end
end

function done(summary, latency, _)
  local thread = threads[1]
  local kinds = {}
  for status, count in pairs(thread:get("statuses")) do
    table.insert(kinds, string.format('"%s": %d', status, count))
  end
  local errors = summary.errors
  local file = assert(io.open(thread:get("figures"), "w"))
  file:write(string.format(
    '{"ok": %d, "non_2xx": %d, "statuses": {%s}, "turns": %d, "unnamed": %d, "seconds": %.6f, '
      .. '"socket_errors": %d, "timeouts": %d, "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f}\n',
    thread:get("ok"), thread:get("refused"), table.concat(kinds, ", "), thread:get("turns"), thread:get("unnamed"),
    summary.duration / 1e6, errors.connect + errors.read + errors.write, errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
  file:close()
end
