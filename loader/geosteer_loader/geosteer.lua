#!lua name=geosteer
-- version 1
-- geosteer's tables for redis-cli and programs without a client library. Read-only; runs on replicas too.
--
--   FCALL_RO geosteer_lookup 2 '{geosteer}:current' '{geosteer}:object' ADDRESS [TABLE...]
--     a flat array: table, prefix, record, ... ; the prefix is the widest one around ADDRESS with one record, and the
--     record is empty where the table knows nothing. ADDRESS may also be a network: then its first address counts.
--   FCALL_RO geosteer_objects 1 '{geosteer}:object' CURSOR COUNT
--     one step of a walk over all objects: the next cursor (0: the end), then a digest and a height for each object;
--     the publisher looks for forgotten ones with it, without the pages leaving the server.
--
-- Globals such as `string` exist while a function runs, not while the library is loaded.
-- Bytes are compared as numbers: Lua compares strings by the server's locale. An address is a list of 4 or 16 bytes.

local SCHEMA = 1
local FORMAT = 1
local HEADER = 10
local TABLES = { 'geo', 'bgp', 'path', 'nets' }

local function fail(text) error('geosteer: ' .. text, 0) end

-- Addresses -----------------------------------------------------------------------------------------------------------

local function read_ipv4(text)
  local parts = { string.match(text, '^(%d+)%.(%d+)%.(%d+)%.(%d+)$') }
  if #parts ~= 4 then return nil end
  for at, part in ipairs(parts) do
    if #part > 3 or (#part > 1 and string.byte(part) == 48) or tonumber(part) > 255 then return nil end
    parts[at] = tonumber(part)
  end
  return parts
end

-- Bytes of groups parted by single colons; only the last may be an IPv4 address.
local function read_groups(text, may_end_in_ipv4)
  local bytes = {}
  if text == '' then return bytes end
  local from = 1
  while true do
    local colon = string.find(text, ':', from, true)
    local group = string.sub(text, from, (colon or 0) - 1)
    if string.match(group, '^%x%x?%x?%x?$') then
      local value = tonumber(group, 16)
      bytes[#bytes + 1] = math.floor(value / 256)
      bytes[#bytes + 1] = value % 256
    else
      local tail = not colon and may_end_in_ipv4 and read_ipv4(group)
      if not tail then return nil end
      for _, value in ipairs(tail) do bytes[#bytes + 1] = value end
    end
    if not colon then return bytes end
    from = colon + 1
  end
end

local function read_ipv6(text)
  local gap = string.find(text, '::', 1, true)
  if not gap then
    local bytes = read_groups(text, true)
    return bytes and #bytes == 16 and bytes or nil
  end
  local bytes = read_groups(string.sub(text, 1, gap - 1), false)
  local tail = read_groups(string.sub(text, gap + 2), true)
  if not bytes or not tail or #bytes + #tail > 14 then return nil end
  for _ = #bytes + #tail + 1, 16 do bytes[#bytes + 1] = 0 end
  for _, value in ipairs(tail) do bytes[#bytes + 1] = value end
  return bytes
end

local function mask(bytes, length)
  local masked = {}
  for at, value in ipairs(bytes) do
    local kept = math.min(math.max(length - 8 * (at - 1), 0), 8)
    masked[at] = value - value % 2 ^ (8 - kept)
  end
  return masked
end

local function begins(bytes, prefix)
  for at, value in ipairs(prefix) do
    if bytes[at] ~= value then return false end
  end
  return true
end

local MAPPED = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255 } -- RFC 4291, 2.5.5.2
local NAT64 = { 0, 100, 255, 155, 0, 0, 0, 0, 0, 0, 0, 0 } -- RFC 6052, 2.1
local SIX_TO_FOUR = { 32, 2 } -- RFC 3056
local TEREDO = { 32, 1, 0, 0 } -- RFC 4380, 4

-- The address that is looked up: the IPv4 one that an IPv6 one carries, else itself.
local function carried(bytes, length)
  if length >= 96 and (begins(bytes, MAPPED) or begins(bytes, NAT64)) then
    return { bytes[13], bytes[14], bytes[15], bytes[16] }
  end
  if length >= 16 and begins(bytes, SIX_TO_FOUR) then
    return { bytes[3], bytes[4], bytes[5], bytes[6] }
  end
  if length == 128 and begins(bytes, TEREDO) then
    return { 255 - bytes[13], 255 - bytes[14], 255 - bytes[15], 255 - bytes[16] }
  end
  return bytes
end

local function read_address(text)
  local address, length = text, nil
  local slash = string.find(text, '/', 1, true)
  if slash then
    address, length = string.sub(text, 1, slash - 1), string.sub(text, slash + 1)
  end
  local zone = string.find(address, '%', 1, true)
  if zone then address = string.sub(address, 1, zone - 1) end
  local bytes
  if string.find(address, ':', 1, true) then bytes = read_ipv6(address) else bytes = read_ipv4(address) end
  if not bytes then fail('not an address: ' .. string.sub(text, 1, 80)) end
  if length then
    if not string.match(length, '^%d+$') or tonumber(length) > 8 * #bytes then
      fail('not a network: ' .. string.sub(text, 1, 80))
    end
    length = tonumber(length)
    bytes = mask(bytes, length)
  else
    length = 8 * #bytes
  end
  if #bytes == 16 then return carried(bytes, length) end
  return bytes
end

local function show_ipv4(bytes, from)
  return bytes[from] .. '.' .. bytes[from + 1] .. '.' .. bytes[from + 2] .. '.' .. bytes[from + 3]
end

-- As inet_ntop writes it: the first of the longest runs of at least two zero groups as `::`.
local function show(bytes)
  if #bytes == 4 then return show_ipv4(bytes, 1) end
  local groups, best, best_len, run = {}, 0, 1, 0
  for at = 1, 8 do
    groups[at] = bytes[2 * at - 1] * 256 + bytes[2 * at]
    run = groups[at] == 0 and run + 1 or 0
    if run > best_len then best, best_len = at - run + 1, run end
  end
  if best == 1 and (best_len == 6 or (best_len == 5 and groups[6] == 65535)) then
    return (best_len == 6 and '::' or '::ffff:') .. show_ipv4(bytes, 13)
  end
  local text, at = '', 1
  while at <= 8 do
    if at == best then
      text, at = text .. '::', at + best_len
    else
      if text ~= '' and string.sub(text, -1) ~= ':' then text = text .. ':' end
      text, at = text .. string.format('%x', groups[at]), at + 1
    end
  end
  return text
end

-- Pages (the format is described in geosteer/trie.py) -----------------------------------------------------------------

-- Number of leading bits in which two addresses agree.
local function common(a, b)
  for at = 1, #a do
    if a[at] ~= b[at] then
      local differ, bits = bit.bxor(a[at], b[at]), 8 * at
      while differ > 0 do
        differ, bits = math.floor(differ / 2), bits - 1
      end
      return bits
    end
  end
  return 8 * #a
end

local function open_page(objects, name, size, height)
  local page = redis.call('HGET', objects, name)
  if not page then fail('page ' .. name .. ' is missing') end
  local p = { text = page }
  local version, bytes
  version, bytes, p.height, p.prefix_len, p.front, p.width = string.byte(page, 1, 6)
  if #page < HEADER or version ~= FORMAT or bytes ~= size or (height and p.height ~= height) or p.height > 8
    or p.width < 1 or p.front + p.width > size or p.prefix_len > 8 * size or p.front > p.prefix_len / 8 then
    fail('page ' .. name .. ' is not what it should be')
  end
  p.count = string.byte(page, 7) * 256 + string.byte(page, 8)
  p.values = string.byte(page, 9) * 256 + string.byte(page, 10)
  p.index_at = HEADER + p.count * p.width
  if p.count < 1 or p.index_at + p.count > #page then fail('page ' .. name .. ' ends within its entries') end
  return p
end

-- Whether the address lies before the start of an entry (the first is number 0).
local function before(p, address, entry)
  local at = HEADER + entry * p.width
  for offset = 1, p.width do
    local a, b = address[p.front + offset], string.byte(p.text, at + offset)
    if a ~= b then return a < b end
  end
  return false
end

local function find_entry(p, address)
  local low, high = 0, p.count
  while low < high do
    local middle = math.floor((low + high) / 2)
    if before(p, address, middle) then high = middle else low = middle + 1 end
  end
  if low == 0 then fail('an address lies outside of its page') end
  return low - 1
end

-- The start of an entry as an address: the bytes cut off in front are those of any address in the page.
local function start_of(p, address, entry)
  local start = {}
  for at = 1, #address do start[at] = at <= p.front and address[at] or 0 end
  for offset = 1, p.width do start[p.front + offset] = string.byte(p.text, HEADER + entry * p.width + offset) end
  return start
end

-- Length of the widest prefix around the address that lies within its entry.
local function uniform(p, address, entry)
  local length = p.prefix_len
  if entry > 0 then
    local last = start_of(p, address, entry)
    for at = #last, 1, -1 do -- minus one
      if last[at] > 0 then
        last[at] = last[at] - 1
        break
      end
      last[at] = 255
    end
    length = math.max(length, common(address, last) + 1)
  end
  if entry + 1 < p.count then
    length = math.max(length, common(address, start_of(p, address, entry + 1)) + 1)
  end
  return length
end

local function digest_of(p, position)
  local at = p.index_at + p.count + 16 * position
  if at + 16 > #p.text then fail('a page ends within its digests') end
  local hex = {}
  for offset = 1, 16 do hex[offset] = string.format('%02x', string.byte(p.text, at + offset)) end
  return table.concat(hex)
end

local function record_of(p, position)
  local at = p.index_at + p.count + 1
  for _ = 1, position do
    at = at + 1 + (string.byte(p.text, at) or 0)
  end
  local length = string.byte(p.text, at)
  if not length or at + length > #p.text then fail('a page ends within its records') end
  return string.sub(p.text, at + 1, at + length)
end

-- Length of the widest prefix around the address with one record, and the record.
local function look_up(objects, root, address)
  local p = open_page(objects, root, #address, nil)
  while true do
    local entry = find_entry(p, address)
    local position = string.byte(p.text, p.index_at + entry + 1)
    if position >= p.values then fail('an entry names a value that is not there') end
    if p.height == 0 then return uniform(p, address, entry), record_of(p, position) end
    p = open_page(objects, digest_of(p, position), #address, p.height - 1)
  end
end

-- Functions -----------------------------------------------------------------------------------------------------------

local function lookup(keys, args)
  if #keys ~= 2 or #args < 1 then fail("expected 2 '{P}:current' '{P}:object' ADDRESS [TABLE...]") end
  local address = read_address(args[1])
  local schema = redis.call('HGET', keys[1], 'schema')
  if not schema then fail('nothing is published') end
  if tonumber(schema) ~= SCHEMA then fail('published with schema ' .. schema .. ', this library knows ' .. SCHEMA) end
  local family = #address == 4 and '.v4' or '.v6'
  local answer, wanted = {}, TABLES
  if #args > 1 then wanted = { unpack(args, 2) } end
  for _, name in ipairs(wanted) do
    local root = redis.call('HGET', keys[1], name .. family)
    if root then
      local length, record = look_up(keys[2], root, address)
      answer[#answer + 1] = name
      answer[#answer + 1] = show(mask(address, length)) .. '/' .. length
      answer[#answer + 1] = record
    elseif #args > 1 then
      fail('no table ' .. string.sub(name, 1, 40) .. ' is published')
    end
  end
  return answer
end

local function objects(keys, args)
  local step = redis.call('HSCAN', keys[1], args[1], 'COUNT', args[2])
  local answer = { step[1] }
  for at = 1, #step[2], 2 do
    local version, _, height = string.byte(step[2][at + 1], 1, 3)
    answer[#answer + 1] = step[2][at]
    answer[#answer + 1] = version == FORMAT and height or 0
  end
  return answer
end

-- Without this the reply to an error would quote a line of this file.
local function guarded(work)
  return function(keys, args)
    local ok, answer = pcall(work, keys, args)
    if ok then return answer end
    if type(answer) == 'table' then answer = answer.err end
    return redis.error_reply('ERR ' .. tostring(answer))
  end
end

redis.register_function { function_name = 'geosteer_lookup', callback = guarded(lookup), flags = { 'no-writes' } }
redis.register_function { function_name = 'geosteer_objects', callback = guarded(objects), flags = { 'no-writes' } }
