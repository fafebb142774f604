-- What wrk alone does not do: a steady rate, a look at each answer, an end at which nothing is
-- under way any more, and exact counts.
--
-- wrk … URL -- STOP_FILE PAUSE_MS EXPECTED
--   STOP_FILE  once it exists, no new request is sent
--   PAUSE_MS   pause of a connection between an answer and its next request
--   EXPECTED   what each answer must begin with
-- The last line that it writes is "counts: " and JSON.

local threads = {}

function setup(thread)
    table.insert(threads, thread)
end

function init(args)
    sent = 0
    wrong = 0
    example = ""
    stop_file, pause, expected = args[1], tonumber(args[2]), args[3]
    looked_at = 0
    stopping = false
    begun = false
end

local text

function request()
    text = text or wrk.format()
    sent = sent + 1
    return text
end

function delay()
    if not begun then
        -- wrk has asked for one request to look at it: that one was not sent.
        begun = true
        sent = 0
    end
    local now = os.time()
    if not stopping and now ~= looked_at then
        looked_at = now
        local file = io.open(stop_file)
        if file then
            file:close()
            stopping = true
        end
    end
    -- An hour is longer than any run.
    return stopping and 3600000 or pause
end

function response(status, headers, body)
    if status >= 400 then
        example = "HTTP status " .. status
    elseif string.sub(body, 1, #expected) ~= expected then
        wrong = wrong + 1
        example = string.sub(body, 1, 100)
    end
end

local function quoted(value)
    local escaped = string.gsub(value, '[%c"\\\128-\255]', function(character)
        return string.format("\\u%04x", string.byte(character))
    end)
    return '"' .. escaped .. '"'
end

function done(summary, latency, requests)
    local sent, wrong, example = 0, 0, ""
    for _, thread in ipairs(threads) do
        sent = sent + thread:get("sent")
        wrong = wrong + thread:get("wrong")
        if thread:get("example") ~= "" then
            example = thread:get("example")
        end
    end
    local errors = summary.errors
    print(string.format(
        'counts: {"sent": %d, "answered": %d, "connect": %d, "read": %d, "write": %d, '
            .. '"timeout": %d, "status": %d, "wrong": %d, "example": %s, '
            .. '"seconds": %.3f, "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f}',
        sent, summary.requests, errors.connect, errors.read, errors.write,
        errors.timeout, errors.status, wrong, quoted(example),
        summary.duration / 1e6,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
