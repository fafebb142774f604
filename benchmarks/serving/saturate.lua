-- wrk with many different requests, and its counts as JSON.
--
-- wrk … URL -- METHOD CONTENT_TYPE FILE
--   FILE  one request a line: a path for GET, for POST a path, a tab, and the body
-- The last line that it writes is "counts: " and JSON.

local requests = {}
local number = 0

function init(args)
    local method, content_type, file = args[1], args[2], args[3]
    local headers = {}
    if method == "POST" then
        headers["Content-Type"] = content_type
    end
    for line in io.lines(file) do
        local path, body = string.match(line, "^([^\t]*)\t?(.*)$")
        if body == "" then
            body = nil
        end
        table.insert(requests, wrk.format(method, path, headers, body))
    end
end

function request()
    number = number % #requests + 1
    return requests[number]
end

function done(summary, latency)
    local errors = summary.errors
    print(string.format(
        'counts: {"sent": %d, "answered": %d, "connect": %d, "read": %d, "write": %d, '
            .. '"timeout": %d, "status": %d, "seconds": %.3f, "p50_ms": %.3f, "p99_ms": %.3f, '
            .. '"max_ms": %.3f}',
        summary.requests, summary.requests, errors.connect, errors.read, errors.write,
        errors.timeout, errors.status, summary.duration / 1e6,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
