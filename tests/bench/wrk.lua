-- Load through nginx: sends the recipes of recipe.h by wrk and checks every reply. wrk does not say which request a
-- reply belongs to, so a reply is correct if one of the recipes expects it.
-- Usage: wrk ... -- RECIPES TOKENS BOOKS VICTIMS. Prints a line of JSON, as fcgiload does.
local ffi = require("ffi")
ffi.cdef("typedef struct { long s, us; } bench_time; int gettimeofday(bench_time *t, void *zone);")
local time = ffi.new("bench_time")

local threads = {}
requests_bad, first_fault = 0, ""

function setup(thread)
    table.insert(threads, thread)
end

local recipes, tokens, weights, books, victims, serial = {}, {}, 0

local function split(text)
    local pieces, from = {}, 1
    for at, mark, next in text:gmatch("()@([NVTS%d])@()") do
        table.insert(pieces, text:sub(from, at - 1))
        table.insert(pieces, mark)
        from = next
    end
    table.insert(pieces, text:sub(from))
    return pieces
end

function init(args)
    local random = io.open("/dev/urandom", "rb")
    local a, b, c = random:read(3):byte(1, 3)
    random:close()
    local run = a * 65536 + b * 256 + c
    math.randomseed(run)
    serial = (1 + run % 9000000) * 1e9
    for line in io.lines(args[1]) do
        local field = {}
        for text in (line .. "\t"):gmatch("([^\t]*)\t") do table.insert(field, text) end
        weights = weights + tonumber(field[1])
        local header = field[7] == "" and "" or field[7] .. "\r\n"
        table.insert(recipes, {
            weight = tonumber(field[1]), status = tonumber(field[2]), count = tonumber(field[3]), expected = field[4],
            head = split(field[5] .. " " .. field[6] .. " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\n" ..
                header .. (field[8] == "" and "" or "Content-Type: application/json\r\n")),
            body = split(field[8]),
        })
    end
    for line in io.lines(args[2]) do table.insert(tokens, line) end
    books, victims = tonumber(args[3]), tonumber(args[4])
end

local function fill(pieces, values)
    local out = {}
    for i, piece in ipairs(pieces) do out[i] = i % 2 == 1 and piece or values[piece] end
    return table.concat(out)
end

function request()
    local at, i = math.random(weights), 1
    while at > recipes[i].weight do at, i = at - recipes[i].weight, i + 1 end
    ffi.C.gettimeofday(time, nil)
    local now = tonumber(time.s) * 1000 + math.floor(tonumber(time.us) / 1000)
    local first, stride = math.random(books), math.max(math.floor(books / 9), 1)
    serial = serial + 1
    local values = { N = string.format("%.0f", serial), V = 100000 + math.random(victims) - 1,
        T = string.format("%.0f", now), S = string.format("%.0f", now - 30000) }
    for n = 1, 9 do values[tostring(n)] = 100000 + (first + (n - 1) * stride) % books end
    local body = fill(recipes[i].body, values)
    local length = body == "" and "" or "Content-Length: " .. #body .. "\r\n"
    local authorization = "Authorization: Bearer " .. tokens[math.random(#tokens)] .. "\r\n"
    return fill(recipes[i].head, values) .. authorization .. length .. "\r\n" .. body
end

local function occurrences(text, what)
    local count, at = 0, 1
    while true do
        local from, to = text:find(what, at, true)
        if not from then return count end
        count, at = count + 1, to + 1
    end
end

function response(status, headers, body)
    for _, recipe in ipairs(recipes) do
        if status == recipe.status and (recipe.count < 0 or occurrences(body, recipe.expected) == recipe.count) then
            return
        end
    end
    if requests_bad == 0 then first_fault = status .. " " .. body:sub(1, 300) end
    requests_bad = requests_bad + 1
end

function done(summary, latency)
    local e, failures = summary.errors, 0
    failures = e.connect + e.read + e.write + e.timeout
    for _, thread in ipairs(threads) do
        failures = failures + thread:get("requests_bad")
        local fault = thread:get("first_fault")
        if fault ~= "" then io.stderr:write("The first that failed: ", fault, "\n") end
    end
    io.write(string.format(
        '\n{"requests":%d,"failures":%d,"seconds":%.3f,"perSecond":%.2f,' ..
            '"mean":%.4f,"p50":%.4f,"p99":%.4f,"bytes":%d}\n',
        summary.requests, failures, summary.duration / 1e6, summary.requests / summary.duration * 1e6,
        latency.mean / 1e3, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, summary.bytes))
end
