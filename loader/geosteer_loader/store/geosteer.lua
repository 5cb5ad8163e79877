#!lua name=geosteer
-- version 5
-- geosteer's tables for redis-cli and programs without a client library. Read-only; runs on replicas too.
--
--   FCALL_RO geosteer_lookup 2 '{geosteer}:current' '{geosteer}:object' ADDRESS [TABLE...]
--     a flat array: table, prefix, record, ... ; the prefix is the widest one around ADDRESS with one record, and the
--     record is empty where the table knows nothing. ADDRESS may also be a network: then its first address counts.
--   FCALL_RO geosteer_decide 4 '{geosteer}:current' '{geosteer}:object' '{geosteer}:override' '{geosteer}:node:' \
--     SERVICE CLIENT [TYPE]
--     a flat array: prefix, ttl, then type, node, content for each record of the answer, best first. The prefix is the one
--     around CLIENT (an address, a network, or empty where nobody is known) for which the answer holds. A private client
--     counts as in DNS, where its own address is the resolver's. TYPE is A, AAAA or
--     CNAME; without it all types that the service has are answered. For services of the policy `best`. The fourth key is
--     what the keys of all nodes begin with: their names stand in the configuration, so every key that is read is one of
--     the four or begins with the fourth, and the braces keep all of them in one slot of a Cluster.
--   FCALL_RO geosteer_objects 1 '{geosteer}:object' CURSOR COUNT
--     one step of a walk over all objects: the next cursor (0: the end), then a digest and a height for each object;
--     the publisher looks for forgotten ones with it, without the pages leaving the server.
--
-- Globals such as `string` exist while a function runs, not while the library is loaded.
-- Bytes are compared as numbers: Lua compares strings by the server's locale. An address is a list of 4 or 16 bytes.

local SCHEMA = 1
local FORMAT = 1
local HEADER = 10
local TABLES = { 'geo', 'bgp', 'path', 'rtt', 'nets' }

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

-- The address that is looked up: the IPv4 one that an IPv6 one carries, else itself; and the number of bits in front of
-- it, or the length of the only prefix in which the same rule holds.
local function carried(bytes, length)
  if length >= 96 and (begins(bytes, MAPPED) or begins(bytes, NAT64)) then
    return { bytes[13], bytes[14], bytes[15], bytes[16] }, 96
  end
  if length >= 16 and begins(bytes, SIX_TO_FOUR) then
    return { bytes[3], bytes[4], bytes[5], bytes[6] }, 16
  end
  if length == 128 and begins(bytes, TEREDO) then
    return { 255 - bytes[13], 255 - bytes[14], 255 - bytes[15], 255 - bytes[16] }, 0, 128
  end
  return bytes, 0
end

-- The address that is looked up, bits in front of it, the only length there is (or nil), the address as it is written, and
-- the length of the network looked up.
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
  if #bytes == 4 then return bytes, 0, nil, bytes, length end
  local found, front, only = carried(bytes, length)
  return found, front, only, bytes, length - front
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

-- Pages (the format is described in geosteer/tables/page_format.py) -----------------------------------------------------------------

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

-- Decisions (as geosteer/decision/ makes them) ------------------------------------------------

local LAYER_TABLE = { networks = 'nets', asns = 'bgp', subdivisions = 'geo', countries = 'geo', continents = 'geo' }
local CONTENTS = { A = 'a', AAAA = 'aaaa', CNAME = 'hostname' }
local RAMP_FROM = 0.05
local ASK_STATES, GIVE_DRAINED, IGNORE_PROBES, IGNORE_DRAINS, IGNORE_ALL = 0, 1, 2, 3, 4
local CARRIERS = { { MAPPED, 96 }, { NAT64, 96 }, { SIX_TO_FOUR, 16 }, { TEREDO, 32 } }
-- By bytes of an address: networks whose members are not where an outside table says (RFC 1918, 3927, 4193, 4291, 6598).
local PRIVATE = {
  [4] = {
    { { 0 }, 8 }, { { 10 }, 8 }, { { 100, 64 }, 10 }, { { 127 }, 8 }, { { 169, 254 }, 16 }, { { 172, 16 }, 12 },
    { { 192, 168 }, 16 },
  },
  [16] = { { {}, 127 }, { { 252 }, 7 }, { { 254, 128 }, 10 } },
}

-- Configurations by their digest: what has a name made of its content never goes out of date.
local documents, remembered = {}, {}

-- What JSON calls null, and what is not there.
local function given(value, otherwise)
  if value == nil or value == cjson.null then return otherwise end
  return value
end

local function read_document(objects, name)
  if documents[name] then return documents[name] end
  local text = redis.call('HGET', objects, name)
  if not text then fail('the configuration is missing') end
  local ok, document = pcall(cjson.decode, text)
  if not ok or type(document) ~= 'table' or document.format ~= 1 then
    fail('the configuration is not one that this library knows')
  end
  if #remembered == 4 then documents[table.remove(remembered, 1)] = nil end
  remembered[#remembered + 1] = name
  documents[name] = document
  return document
end

-- Days since 1970; months count from March, so that a leap day ends the year.
local function days(year, month, day)
  if month <= 2 then year = year - 1 end
  local months = (month + 9) % 12
  return year * 365 + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
    + math.floor((153 * months + 2) / 5) + day - 1 - 719468
end

local MONTHS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
local LONGEST_TIME, LONGEST = 40, 4096

-- Seconds since 1970 of an ISO 8601 UTC time, or nil.
local function read_time(text)
  if type(text) ~= 'string' or #text > LONGEST_TIME then return nil end
  local year, month, day, hour, minute, second =
    string.match(text, '^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+%.?%d*)Z$')
  if not year then return nil end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  if year < 1 or year > 9999 or month < 1 or month > 12 or hour > 23 or minute > 59 or second >= 61 then return nil end
  local leap = month == 2 and year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  if day < 1 or day > MONTHS[month] + (leap and 1 or 0) then return nil end
  return days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
end

-- An operator's override, while it is in force; what does not parse counts as absent.
local function read_override(text, now)
  if not text or #text > LONGEST then return nil end
  local ok, data = pcall(cjson.decode, text)
  if not ok or type(data) ~= 'table' then return nil end
  local state, percent = data.state, given(data.percent, nil)
  if state ~= 'up' and state ~= 'down' and state ~= 'drain' then return nil end
  if percent == nil then percent = state == 'drain' and 0 or 100 end
  if type(percent) ~= 'number' or not (percent >= 0 and percent <= 100) then return nil end
  local ends = given(data['until'], nil)
  if ends == '' or ends == false or ends == 0 or (type(ends) == 'table' and not next(ends)) then ends = nil end
  local when = read_time(ends)
  if ends ~= nil and not when then return nil end
  if when and now >= when then return nil end
  return { state = state, percent = percent, ends = when }
end

local function read_state(fields, override)
  local found = {}
  for at = 1, #fields, 2 do found[fields[at]] = fields[at + 1] end
  local state, shed = found.state, found.shed or '0'
  shed = not string.find(shed, '[xX]') and tonumber(shed) or 0 -- hexadecimal is none
  if state ~= 'up' and state ~= 'down' then state = 'unknown' end
  if not (shed > 0) then shed = 0 end -- neither is a NaN
  return {
    state = state, since = read_time(found.since) or 0, failing = found.failing == 'yes', shed = math.min(shed, 1),
    came_back = found.before == 'down', override = override,
  }
end

-- Number of leading bits in which an address and a block agree, whose zero bytes at the end are left out.
local function agreement(address, block)
  local whole = { unpack(block) }
  for at = #whole + 1, #address do whole[at] = 0 end
  return common(address, whole)
end

-- Least length of a prefix around an address that holds none of the blocks; all of its bits where it lies in one itself.
local function floor_of(address, blocks)
  local least = 1
  for _, block in ipairs(blocks) do
    local agree = agreement(address, block[1])
    least = math.max(least, agree >= block[2] and 8 * #address or agree + 1)
  end
  return least
end

-- Length of the private block that an address lies in, or nil.
local function private_block(address)
  for _, block in ipairs(PRIVATE[#address]) do
    if agreement(address, block[1]) >= block[2] then return block[2] end
  end
  return nil
end

-- Who asks, by the rules of geosteer/decision/client.py for a client network whose resolver has the same address: one of
-- length 0 says nothing; of a private one that no table has a record of, nothing but its own network is known.
local function read_client(call, text)
  local address, front, only, written, length = read_address(text)
  call.front, call.only, call.written = front, only, written
  if length == 0 then
    -- All of IPv4 within IPv6: its members have answers of their own.
    call.only = front > 0 and 128 or nil
    return
  end
  local floor, block = #address == 16 and floor_of(address, CARRIERS) or 1, private_block(address)
  if not block then
    call.address, call.floor = address, math.max(floor, floor_of(address, PRIVATE[#address]))
    return
  end
  local named, widest = nil, block
  for _, name in ipairs(TABLES) do
    local root = redis.call('HGET', call.keys[1], name .. (#address == 4 and '.v4' or '.v6'))
    if root then
      local cell, record = look_up(call.keys[2], root, address)
      widest = math.max(widest, cell)
      if record ~= '' then named = math.min(named or cell, cell) end
    end
  end
  if named then -- around the prefix that has a name there are others that nothing is known of
    call.address, call.floor = address, math.max(floor, block, named)
  else -- as a resolver that asks for itself; and around what has no name there are prefixes that have one
    call.only = only or front + widest
    if math.max(unpack(address)) > 0 then call.address, call.floor = address, floor end -- 0.0.0.0 stands for nobody
  end
end

-- What one call knows and finds out.
local function new_call(keys, args)
  local clock = redis.call('TIME')
  local call = {
    keys = keys, now = tonumber(clock[1]) + tonumber(clock[2]) / 1e6, states = {}, overrides = {}, matched = {},
    split = false, failing = false, changes = nil,
  }
  local fields = redis.call('HMGET', keys[1], 'schema', 'config')
  if not fields[1] then fail('nothing is published') end
  if tonumber(fields[1]) ~= SCHEMA then
    fail('published with schema ' .. fields[1] .. ', this library knows ' .. SCHEMA)
  end
  if not fields[2] then fail('no configuration is published') end
  call.document = read_document(keys[2], fields[2])
  if args[2] ~= '' then read_client(call, args[2]) end
  local said = redis.call('HGETALL', keys[3])
  for at = 1, #said, 2 do call.overrides[said[at]] = read_override(said[at + 1], call.now) end
  return call
end

-- Name and specification of the service, or of the closest wildcard above it (RFC 4592).
local function find_service(document, name)
  local wanted = string.gsub(string.lower(name), '%.$', '')
  local found, parent = document.services[wanted], wanted
  while not found do
    local dot = string.find(parent, '.', 1, true)
    if not dot then fail('no such service: ' .. string.sub(name, 1, 80)) end
    parent = string.sub(parent, dot + 1)
    found, wanted = document.services['*.' .. parent], '*.' .. parent
  end
  if given(found.policy, 'best') ~= 'best' then
    fail('service ' .. wanted .. ' has the policy ' .. found.policy .. ', and only best is decided here')
  end
  return wanted, found
end

local function weight_of(document, name, weight) return weight * given(document.nodes[name].weight, 100) / 100 end

-- Every node of a map with its highest weight, found once for a document.
local function everyone(document, map)
  if map.everyone then return map.everyone end
  local highest = {}
  local function take(entries)
    for name, weight in pairs(entries) do
      if not highest[name] or weight > highest[name] then highest[name] = weight end
    end
  end
  take(map.default)
  for _, layer in ipairs(given(map.order, {})) do
    if LAYER_TABLE[layer] then
      for _, entries in pairs(given(map[layer], {})) do take(entries) end
    end
  end
  map.everyone = highest
  return highest
end

local function has(node, kind)
  local content = given(node[CONTENTS[kind]], nil)
  return content ~= nil and content ~= '' and (type(content) ~= 'table' or #content > 0)
end

-- The record types that the service has, for every client.
local function kinds_of(document, service, map)
  if service.answer == 'cname' then return { 'CNAME' } end
  local highest, some = everyone(document, map), false
  for name, weight in pairs(highest) do some = some or weight_of(document, name, weight) > 0 end
  local kinds = {}
  for _, kind in ipairs({ 'A', 'AAAA' }) do
    for name, weight in pairs(highest) do
      if (not some or weight_of(document, name, weight) > 0) and has(document.nodes[name], kind) then
        kinds[#kinds + 1] = kind
        break
      end
    end
  end
  return kinds
end

local function state_of(call, name)
  local state = call.states[name]
  if not state then
    state = read_state(redis.call('HGETALL', call.keys[4] .. name), call.overrides[name])
    call.states[name] = state
  end
  return state
end

local function note_change(call, when)
  if not call.changes or when < call.changes then call.changes = when end
end

local function full_share(state) return (1 - state.shed) * (state.override and state.override.percent / 100 or 1) end

local function ramp_of(call, name) return given(call.document.nodes[name].ramp, 60) end

local function ramping(call, state, ramp)
  return ramp > 0 and state.came_back and state.state == 'up' and call.now < state.since + ramp
end

-- How much of its clients a node keeps, or nil where it may not be given.
local function share_of(call, name, weight, state, ignore)
  if weight <= 0 then return nil end
  if ignore == IGNORE_ALL then return 1 end
  local override = state.override
  if override and override.state == 'down' then return nil end
  if ignore >= IGNORE_PROBES then
    local kept = override and override.percent / 100 or 1
    if kept <= 0 then return ignore == IGNORE_DRAINS and 1 or nil end
    return kept
  end
  local share, ramp = full_share(state), ramp_of(call, name)
  if ramping(call, state, ramp) then
    share = share * math.max(RAMP_FROM, math.min(1, (call.now - state.since) / ramp))
  end
  if not (override and override.state == 'up') then
    if state.state == 'down' then return nil end
    if state.state == 'unknown' and call.document.nodes[name].assume == 'down' then return nil end
  end
  if share <= 0 then return ignore == GIVE_DRAINED and 1 or nil end
  return share
end

-- Two independent numbers in [0, 1): for the share, and for the order among equals.
local function unit(name, network)
  local digits = redis.sha1hex(name .. '|' .. network)
  return tonumber(string.sub(digits, 1, 13), 16) / 2 ^ 52, tonumber(string.sub(digits, 14, 26), 16) / 2 ^ 52
end

local function bytes_before(a, b)
  for at = 1, math.min(#a, #b) do
    local left, right = string.byte(a, at), string.byte(b, at)
    if left ~= right then return left < right end
  end
  return #a < #b
end

-- The nodes of a layer that may be given, by weight; equals by rendezvous hash of the client's network.
local function candidates_of(call, entries, kind, ignore)
  local found, of_weight = {}, {}
  for name, raw in pairs(entries) do
    local weight = weight_of(call.document, name, raw)
    local share = share_of(call, name, weight, state_of(call, name), ignore)
    if share and has(call.document.nodes[name], kind) then
      found[#found + 1] = { name = name, weight = weight, share = share }
      of_weight[weight] = (of_weight[weight] or 0) + 1
    end
  end
  for _, one in ipairs(found) do
    one.tied = of_weight[one.weight] > 1
    if one.tied or one.share < 1 then one.keep, one.order = unit(one.name, call.network) end
  end
  table.sort(found, function(a, b)
    if a.weight ~= b.weight then return a.weight > b.weight end
    if a.order ~= b.order then return a.order > b.order end
    return bytes_before(a.name, b.name)
  end)
  return found
end

-- The answer may change when a node that ramps up passes that share.
local function note_growth(call, one, share)
  local state, ramp = call.states[one.name], ramp_of(call, one.name)
  local full = full_share(state)
  if ramping(call, state, ramp) and share <= full and full > 0 then
    note_change(call, state.since + ramp * share / full)
  end
end

-- Those who keep the client, best first; those who don't are added to `met`.
local function rank(call, candidates, met, limit)
  local kept = {}
  for _, one in ipairs(candidates) do
    if one.tied or one.share < 1 then call.split = true end
    if one.share >= 1 or one.keep < one.share then
      kept[#kept + 1] = one
      if #kept == limit then return kept end
    else
      note_growth(call, one, one.keep)
      met[#met + 1] = one
    end
  end
  return kept
end

local function highest_of(call, met)
  local chosen = met[1]
  for _, one in ipairs(met) do
    if one.share > chosen.share then chosen = one end
  end
  for _, one in ipairs(met) do
    if one ~= chosen then note_growth(call, one, chosen.share) end
  end
  return { chosen }
end

-- Record of the client in a table, and length of the widest prefix that has it; each table is asked once.
local function cell_of(call, name)
  local cell = call.matched[name]
  if not cell then
    local root = redis.call('HGET', call.keys[1], name .. (#call.address == 4 and '.v4' or '.v6'))
    cell = { record = '', length = 0 }
    if root then cell.length, cell.record = look_up(call.keys[2], root, call.address) end
    call.matched[name] = cell
  end
  return cell
end

-- What a layer's table calls the client, most specific first.
local function names_of(call, layer, record)
  if record == '' then return {} end
  if layer == 'networks' then return { record } end
  if layer == 'asns' then
    local origins = {}
    for origin in string.gmatch(record, '[^ ]+') do
      if origin ~= 'AS0' then origins[#origins + 1] = origin end
    end
    return origins
  end
  local region = string.match(record, '^[^ ]*')
  local continent = string.match(region, '^@(.*)$')
  local country = continent and '' or string.match(region, '^[^-]*')
  if layer == 'subdivisions' then return { not continent and string.find(region, '-', 1, true) and region or nil } end
  if layer == 'countries' then return { country ~= '' and country or nil } end
  return { continent or given(call.document.continents, {})[country] }
end

-- The entries of a layer that names the client, or nil.
local function named(call, map, layer)
  local layers = LAYER_TABLE[layer] and given(map[layer], {})
  if not layers or not next(layers) then return nil end
  for _, name in ipairs(names_of(call, layer, cell_of(call, LAYER_TABLE[layer]).record)) do
    if layers[name] then return layers[name] end
  end
  return nil
end

-- Through the layers that name the client until one keeps it; nil where none has a serving node.
local function walk(call, map, kind, ignore, limit)
  local met = {}
  local function try(entries)
    local candidates = entries and candidates_of(call, entries, kind, ignore) or {}
    if #candidates == 0 then return nil end
    local kept = rank(call, candidates, met, limit)
    return #kept > 0 and kept or nil
  end
  if call.address then
    for _, layer in ipairs(given(map.order, {})) do
      local kept = try(named(call, map, layer))
      if kept then return kept end
    end
  end
  local kept = try(map.default)
  if kept then return kept end
  if #met > 0 then return highest_of(call, met) end
  return try(everyone(call.document, map)) or (#met > 0 and highest_of(call, met)) or nil
end

local function choose(call, map, kind, limit)
  local chosen = walk(call, map, kind, ASK_STATES, limit) or walk(call, map, kind, GIVE_DRAINED, limit)
  if chosen or given(map.all_down, 'all') == 'none' then return chosen end
  return walk(call, map, kind, IGNORE_PROBES, limit) or walk(call, map, kind, IGNORE_DRAINS, limit)
    or walk(call, map, kind, IGNORE_ALL, limit)
end

-- Length of the prefix around the client, as it was written, in which the answer holds; nil where nobody is known.
local function scope_of(call)
  if call.only or not call.address then return call.only end
  local length = call.split and (#call.address == 4 and 24 or 48) or 1
  for _, cell in pairs(call.matched) do length = math.max(length, cell.length) end
  return call.front + math.max(call.floor, length)
end

local function ttl_of(call, service, map)
  local ttl = given(service.ttl, 60)
  if call.failing then
    ttl = math.min(ttl, given(service.ttl_min, math.max(math.floor(ttl / 2), 5)))
  end
  for name in pairs(everyone(call.document, map)) do
    local override = call.overrides[name]
    if override and override.ends then note_change(call, override.ends) end
  end
  if call.changes then
    ttl = math.max(1, math.min(ttl, math.floor(call.changes - call.now)))
  end
  return ttl
end

local function decide(keys, args)
  if #keys ~= 4 or #args < 2 then
    fail("expected 4 '{P}:current' '{P}:object' '{P}:override' '{P}:node:' SERVICE CLIENT [TYPE]")
  end
  local call = new_call(keys, args)
  local name, service = find_service(call.document, args[1])
  local map = call.document.maps[service.map]
  call.network = ''
  if call.address then
    call.network = #call.address == 4 and show(mask(call.address, 24)) .. '/24' or show(mask(call.address, 48)) .. '/48'
  end
  local answer, wanted, asked = { '', 0 }, args[3] and string.upper(args[3]), false
  for _, kind in ipairs(kinds_of(call.document, service, map)) do
    if not wanted or kind == wanted then
      asked = true
      local chosen = choose(call, map, kind, given(service.max_answers, 1))
      if not chosen then fail('no node may serve ' .. name .. ' (all_down = "none")') end
      for _, one in ipairs(chosen) do
        local contents = call.document.nodes[one.name][CONTENTS[kind]]
        call.failing = call.failing or state_of(call, one.name).failing
        for _, content in ipairs(type(contents) == 'table' and contents or { contents }) do
          for _, word in ipairs({ kind, one.name, content }) do answer[#answer + 1] = word end
        end
      end
    end
  end
  if not asked then fail('service ' .. name .. ' has no ' .. string.sub(wanted or 'address', 1, 20)) end
  local scope = scope_of(call)
  if scope then answer[1] = show(mask(call.written, scope)) .. '/' .. scope end
  answer[2] = ttl_of(call, service, map)
  return answer
end

-- The publisher's walk ------------------------------------------------------------------------------------------------

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
    if type(answer) == 'table' then answer = string.match(tostring(answer.err), '^[^\r\n]*') end
    -- Not ours and not Redis's: something that is published is not of the kind that it should be.
    if string.find(tostring(answer), 'user_function', 1, true) then answer = 'geosteer: what is published cannot be used' end
    return redis.error_reply('ERR ' .. tostring(answer))
  end
end

redis.register_function { function_name = 'geosteer_lookup', callback = guarded(lookup), flags = { 'no-writes' } }
redis.register_function { function_name = 'geosteer_decide', callback = guarded(decide), flags = { 'no-writes' } }
redis.register_function { function_name = 'geosteer_objects', callback = guarded(objects), flags = { 'no-writes' } }
