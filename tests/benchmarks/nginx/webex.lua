-- GET tasks and POST captures/query for an organisation of `total` calls, spread evenly over the day before yesterday.
local DAY = 86400000
local total, call = tonumber(ngx.var.total), ngx.var.call
local day = (math.floor(ngx.time() / 86400) - 2) * DAY
local step = DAY / total
ngx.shared.counts:incr(call, 1, 0)
ngx.header["Content-Type"] = "application/json"
ngx.header["trackingid"] = "BENCH_" .. ngx.var.connection .. "_" .. ngx.var.connection_requests

local function id_of(n) return string.format("%08x-b000-4000-8000-%012x", n, n) end
local function time_of(n) return day + math.floor(n * step) end

if call == "tasks" then
  local args = ngx.req.get_uri_args()
  local from, to, size = tonumber(args.from), tonumber(args.to), tonumber(args.pageSize or "100")
  local rows, n = {}, math.max(0, math.floor((from - day) / step) - 1)
  while n < total and #rows < size do
    local created = time_of(n)
    if created >= to then break end
    if created >= from then
      rows[#rows + 1] = string.format(
        '{"id":"%s","attributes":{"channelType":"telephony","status":"completed","createdTime":%d,' ..
        '"lastUpdatedTime":%d,"captureRequested":true,"direction":"inbound","origin":"+15550200%03d",' ..
        '"destination":"+15550199000","queue":{"id":"q%d","name":"Queue %d"},"owner":{"id":"a%d","name":"Agent %d"}}}',
        id_of(n), created, created + 300000, n % 1000, n % 7, n % 7, n % 31, n % 31)
    end
    n = n + 1
  end
  ngx.print('{"meta":{"orgId":"bench"},"data":[', table.concat(rows, ","), "]}")
elseif call == "captures/query" then
  ngx.req.read_body()
  local rows, base = {}, ngx.var.origin .. "/" .. ngx.var.kind .. "/" .. ngx.var.size .. "/"
  for id in ngx.req.get_body_data():gmatch("%x+%-b000%-4000%-8000%-%x+") do
    local created = time_of(tonumber(id:sub(1, 8), 16))
    rows[#rows + 1] = string.format(
      '{"taskId":"%s","recording":[{"id":"%s","attributes":{"fileName":"combinedRecordings.wav",' ..
      '"filePath":"%s%s.wav?X-Amz-Expires=3600&X-Amz-Signature=%064x","startTime":%d,"stopTime":%d,' ..
      '"participants":["agent@example.com"],"channel1":"agent","channel2":"customer","callType":"main"}}],' ..
      '"transcription":[]}', id, id, base, id, 7, created, created + 300000)
  end
  ngx.print('{"meta":{"orgId":"bench"},"data":[', table.concat(rows, ","), "]}")
else
  ngx.print('{"id":"bench"}')
end
