-- What wrk sends, each request once and in order, and what came of it. Run by load.py, which says where in the environment:
-- FOLDER holds a file for each thread, named by its number, with how many requests there are and then each of them,
-- behind a line that says how many bytes it has; PLACES are the servers, `host:port`, each thread's in turn.

local threads = {}
local places = {}
for host, port in os.getenv("PLACES"):gmatch("(%S+):(%d+)") do
  places[#places + 1] = wrk.lookup(host, port)[1]
end

function setup(thread)
  thread:set("number", #threads)
  thread.addr = places[#threads % #places + 1]
  threads[#threads + 1] = thread
end

function init()
  file = assert(io.open(os.getenv("FOLDER") .. "/" .. number, "rb"))
  many = tonumber(file:read("*l"))
  sent, answered, statuses, looked_at = 0, 0, {}, number > 0
  say(number == 0 and "begins")
end

function say(word)
  if word then
    io.stdout:write(word, "\n")
    io.stdout:flush()
  end
end

function request()
  local length = file:read("*l")
  if not length then
    return ""  -- nothing: this connection has no more to do
  end
  local one = file:read(tonumber(length))
  if not looked_at then  -- the first thread is asked for its first request once more than it sends
    looked_at = true
    file:seek("set", 0)
    file:read("*l")
    return one
  end
  sent = sent + 1
  return one
end

function response(status)
  statuses[status] = (statuses[status] or 0) + 1
  answered = answered + 1
  say(answered == many and "all answered")
end

function done(summary, latency)
  local statuses, parts, most = {}, {}, 0
  for _, thread in ipairs(threads) do
    most = math.max(most, thread:get("sent"))
    for status, count in pairs(thread:get("statuses")) do
      statuses[status] = (statuses[status] or 0) + count
    end
  end
  for status, count in pairs(statuses) do
    parts[#parts + 1] = string.format('"%d": %d', status, count)
  end
  local broken = summary.errors.connect + summary.errors.read + summary.errors.write
  local answers = summary.requests > 0
  io.write(string.format(
    '\n{"seconds": %.6f, "sent": %d, "answered": %d, "p50_ms": %.3f, "p99_ms": %.3f, "statuses": {%s}, "broken": %d}\n',
    summary.duration / 1e6, most, summary.requests, answers and latency:percentile(50) / 1e3 or 0,
    answers and latency:percentile(99) / 1e3 or 0, table.concat(parts, ", "), broken
  ))
end
