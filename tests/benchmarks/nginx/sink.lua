-- An S3 that reads every body to its last byte, drops it, and remembers each object's size and checksum.
-- No signature and no checksum is verified; ETags are no MD5s and do not look like them.
local method, args, headers = ngx.req.get_method(), ngx.req.get_uri_args(20), ngx.req.get_headers(60)
local objects, counts = ngx.shared.objects, ngx.shared.counts
local bucket, key = ngx.var.bucket, ngx.var.key
local name = bucket .. "/" .. key
local number = counts:incr("s3." .. method, 1, 0)

ngx.req.clear_header("If-None-Match")  -- nginx itself would answer 304 to a conditional PUT, seeing an ETag in the reply

local function reply(status, body, extra)
  ngx.status = status
  ngx.header["x-amz-request-id"] = string.format("%016X", number)
  ngx.header["Content-Type"] = body and "application/xml" or nil
  ngx.header["Content-Length"] = body and #body or 0
  for field, value in pairs(extra or {}) do ngx.header[field] = value end
  if body then ngx.print(body) end
  return ngx.exit(ngx.OK)
end

local function refuse(status, code)
  return reply(status, "<Error><Code>" .. code .. "</Code><Message>" .. code .. "</Message></Error>")
end

local function size_of_body()
  return tonumber(headers["x-amz-decoded-content-length"] or headers["content-length"]) or 0
end

local HEAD, NS = '<?xml version="1.0" encoding="UTF-8"?>\n', ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
if method == "PUT" or method == "POST" then ngx.req.read_body() end

if method == "PUT" and args.partNumber then
  objects:incr("size:" .. args.uploadId, size_of_body(), 0)
  return reply(200, nil, { ETag = '"part-' .. number .. '"', ["x-amz-checksum-crc32"] = headers["x-amz-checksum-crc32"] })
elseif method == "PUT" then
  local crc = headers["x-amz-checksum-crc32"]
  objects:set(name, size_of_body() .. " " .. (crc or "-"))
  counts:incr("stored", 1, 0)
  return reply(200, nil, { ETag = '"object-' .. number .. '"', ["x-amz-checksum-crc32"] = crc,
    ["x-amz-checksum-type"] = crc and "FULL_OBJECT" or nil, ["x-amz-server-side-encryption"] = "AES256" })
elseif method == "POST" and args.uploads then
  local id = "upload-" .. number
  return reply(200, HEAD .. "<InitiateMultipartUploadResult" .. NS .. "><Bucket>" .. bucket .. "</Bucket><Key>" .. key ..
    "</Key><UploadId>" .. id .. "</UploadId></InitiateMultipartUploadResult>", { ["x-amz-checksum-algorithm"] = "CRC32" })
elseif method == "POST" and args.uploadId then
  local crc = headers["x-amz-checksum-crc32"]
  objects:set(name, (objects:get("size:" .. args.uploadId) or 0) .. " " .. (crc or "-"))
  counts:incr("stored", 1, 0)
  return reply(200, HEAD .. "<CompleteMultipartUploadResult" .. NS .. "><Bucket>" .. bucket .. "</Bucket><Key>" .. key ..
    "</Key><ETag>\"object-" .. number .. "\"</ETag>" ..
    (crc and "<ChecksumCRC32>" .. crc .. "</ChecksumCRC32><ChecksumType>FULL_OBJECT</ChecksumType>" or "") ..
    "</CompleteMultipartUploadResult>")
elseif method == "DELETE" then
  return reply(204)
elseif method == "HEAD" and key ~= "" then
  local found = objects:get(name)
  if not found then return reply(404) end
  local size, crc = found:match("^(%d+) (.+)$")
  return reply(200, nil, { ["Content-Length"] = size, ETag = '"object"', ["Last-Modified"] = ngx.http_time(ngx.time()),
    ["x-amz-checksum-crc32"] = crc ~= "-" and crc or nil, ["x-amz-checksum-type"] = crc ~= "-" and "FULL_OBJECT" or nil })
elseif method == "HEAD" then
  return reply(200)
elseif method == "GET" and args.uploads then
  return reply(200, HEAD .. "<ListMultipartUploadsResult" .. NS .. "><Bucket>" .. bucket .. "</Bucket><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>")
elseif method == "GET" and key == "" then
  return reply(200, HEAD .. "<ListBucketResult" .. NS .. "><Name>" .. bucket .. "</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>")
end
return refuse(404, "NoSuchKey")
