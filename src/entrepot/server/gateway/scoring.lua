-- What Envoy runs for each scoring request, before it is routed: who calls, and which deployment answers.
-- The endpoint's facts come from its virtual host's metadata (rendering.py). LuaJIT 2.1; no state but caches per worker.
-- An error in here lets the request go on; but only the header that is set at the very end leads it to a replica, and
-- a filter before this one takes that header away from callers.

local bit = require("bit")
local band, bor, bxor, bnot = bit.band, bit.bor, bit.bxor, bit.bnot
local lshift, rshift, ror, tobit, tohex = bit.lshift, bit.rshift, bit.ror, bit.tobit, bit.tohex

local GATEWAY_SECRET = "@SECRET@"
local MOST_BYTES = 100 * 1024 * 1024
local TOKEN_GOOD_S, TOKEN_BAD_S, MOST_TOKENS = 15, 2, 4096

-- SHA-256 (FIPS 180-4): Envoy's Lua has no hash, and keys are to be compared by digest.
local K = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}
for i = 1, 64 do K[i] = tobit(K[i]) end
local W = {}

local function block(message, at, h)
  for i = 0, 15 do
    local p, q, r, s = string.byte(message, at + i * 4, at + i * 4 + 3)
    W[i] = bor(lshift(p, 24), lshift(q, 16), lshift(r, 8), s)
  end
  for i = 16, 63 do
    local x, y = W[i - 15], W[i - 2]
    local s0 = bxor(ror(x, 7), ror(x, 18), rshift(x, 3))
    local s1 = bxor(ror(y, 17), ror(y, 19), rshift(y, 10))
    W[i] = tobit(W[i - 16] + s0 + W[i - 7] + s1)
  end
  local a, b, c, d, e, f, g, k = h[1], h[2], h[3], h[4], h[5], h[6], h[7], h[8]
  for i = 0, 63 do
    local s1 = bxor(ror(e, 6), ror(e, 11), ror(e, 25))
    local t1 = tobit(k + s1 + bxor(band(e, f), band(bnot(e), g)) + K[i + 1] + W[i])
    local s0 = bxor(ror(a, 2), ror(a, 13), ror(a, 22))
    local t2 = tobit(s0 + bxor(band(a, b), band(a, c), band(b, c)))
    k, g, f, e, d, c, b, a = g, f, e, tobit(d + t1), c, b, a, tobit(t1 + t2)
  end
  h[1], h[2], h[3], h[4] = tobit(h[1] + a), tobit(h[2] + b), tobit(h[3] + c), tobit(h[4] + d)
  h[5], h[6], h[7], h[8] = tobit(h[5] + e), tobit(h[6] + f), tobit(h[7] + g), tobit(h[8] + k)
end

local function sha256(text)
  local bits = #text * 8
  local length = string.char(
    band(rshift(bits, 24), 255), band(rshift(bits, 16), 255), band(rshift(bits, 8), 255), band(bits, 255))
  local message = text .. "\128" .. string.rep("\0", (55 - #text) % 64) .. "\0\0\0\0" .. length
  local h = {
    tobit(0x6a09e667), tobit(0xbb67ae85), tobit(0x3c6ef372), tobit(0xa54ff53a),
    tobit(0x510e527f), tobit(0x9b05688c), tobit(0x1f83d9ab), tobit(0x5be0cd19),
  }
  for at = 1, #message, 64 do block(message, at, h) end
  return tohex(h[1]) .. tohex(h[2]) .. tohex(h[3]) .. tohex(h[4])
    .. tohex(h[5]) .. tohex(h[6]) .. tohex(h[7]) .. tohex(h[8])
end

-- Digests have one length, so this takes as long for a right key as for a wrong one.
local function same(a, b)
  local differs = bxor(#a, #b)
  for i = 1, #a do differs = bor(differs, bxor(string.byte(a, i), string.byte(b, i) or 0)) end
  return differs == 0
end

local function refuse(handle, status, code, message, more)
  local headers = { [":status"] = status, ["content-type"] = "application/json" }
  for name, value in pairs(more or {}) do headers[name] = value end
  handle:respond(headers, '{"error":{"code":"' .. code .. '","message":"' .. message .. '"}}')
end

local tokens, remembered = {}, 0

-- Ask the server whether a token may score here; answers are remembered for seconds, so that a revoked one ends soon.
local function admitted(handle, endpoint, authorization)
  local now = handle:timestamp() / 1000
  local name = endpoint .. " " .. sha256(authorization)
  local known = tokens[name]
  if known ~= nil and known.till > now then return known.status end
  local answer = handle:httpCall("entrepot", {
    [":method"] = "GET", [":path"] = "/gateway/authorize", [":authority"] = "entrepot",
    ["x-entrepot-gateway"] = GATEWAY_SECRET, ["x-entrepot-endpoint"] = endpoint, ["x-entrepot-token"] = authorization,
  }, "", 5000)
  local status = answer[":status"]
  local is_good = status == "204"
  if is_good or status == "401" or status == "403" then
    if remembered >= MOST_TOKENS then tokens, remembered = {}, 0 end
    if known == nil then remembered = remembered + 1 end
    tokens[name] = { till = now + (is_good and TOKEN_GOOD_S or TOKEN_BAD_S), status = status }
  end
  return status
end

local digests, digested = {}, 0 -- of keys that were right, so that each is digested once

local function may_call(handle, endpoint, authorization)
  local challenge = { ["www-authenticate"] = 'Bearer realm="endpoint"' }
  if authorization == nil then
    refuse(handle, "401", "AuthenticationFailed", "Send the header Authorization: Bearer <key or token>", challenge)
    return false
  end
  local presented = string.match(authorization, "^[Bb][Ee][Aa][Rr][Ee][Rr] +(.*)$") or authorization
  if endpoint.mode == "Key" then
    local digest, is_known = digests[presented] or sha256(presented), false
    for _, key in ipairs(endpoint.keys) do is_known = same(digest, key) or is_known end
    if is_known then
      if digests[presented] == nil then
        if digested >= MOST_TOKENS then digests, digested = {}, 0 end
        digests[presented], digested = digest, digested + 1
      end
      return true
    end
    refuse(handle, "401", "AuthenticationFailed", "The key is not one of this endpoint", challenge)
    return false
  end
  local status = admitted(handle, endpoint.key, presented)
  if status == "204" then return true end
  if status == "401" then
    refuse(handle, "401", "AuthenticationFailed", "The token is wrong for this endpoint, or has expired", challenge)
  elseif status == "403" then
    refuse(handle, "403", "AuthorizationFailed", "The caller may not score here: it takes onlineEndpoints/score/action")
  else
    refuse(handle, "503", "ServiceUnavailable", "The token cannot be checked at the moment", { ["retry-after"] = "1" })
  end
  return false
end

local lots = {}

-- A number from 0 to 99: by the sticky header's value, or such that every hundred requests are divided exactly.
local function lot(endpoint, headers)
  local value = endpoint.sticky ~= nil and headers:get(endpoint.sticky) or nil
  if value ~= nil then return tonumber(string.sub(sha256(endpoint.key .. " " .. value), 1, 8), 16) % 100 end
  local next_lot = ((lots[endpoint.key] or math.random(0, 99)) + 61) % 100 -- 61 and 100 have no common factor
  lots[endpoint.key] = next_lot
  return next_lot
end

local function picked(endpoint, headers)
  if #endpoint.traffic == 1 then return endpoint.traffic[1].name end
  local left = lot(endpoint, headers)
  for _, share in ipairs(endpoint.traffic) do
    left = left - share.percent
    if left < 0 then return share.name end
  end
end

local function is_within(networks, address)
  local plain = string.gsub(address, "^%[::ffff:([%d%.]+)%]", "%1")
  for _, pattern in ipairs(networks) do
    if string.find(plain, pattern) then return true end
  end
  return false
end

function envoy_on_request(handle)
  local endpoint = handle:virtualHost():metadata():get("endpoint")
  if endpoint == nil then
    refuse(handle, "404", "NotFound", "There is no endpoint at this address")
    return
  end
  if endpoint.networks and not is_within(endpoint.networks, handle:streamInfo():downstreamDirectRemoteAddress()) then
    refuse(handle, "403", "PublicNetworkAccessDisabled", "This endpoint answers private networks only")
    return
  end
  if not may_call(handle, endpoint, handle:headers():get("authorization")) then return end
  local headers = handle:headers() -- not before: what was had before a call to the server is dead after it
  local size = tonumber(headers:get("content-length") or "0")
  if size ~= nil and size > MOST_BYTES then
    refuse(handle, "413", "RequestEntityTooLarge", "A request may have 100 MB at most")
    return
  end
  local named = headers:get("azureml-model-deployment")
  local name = named
  if named == nil then
    name = picked(endpoint, headers)
    if name == nil then
      refuse(handle, "404", "NotFound", "No deployment of this endpoint has traffic")
      return
    end
  elseif endpoint.names[string.lower(named)] == nil then
    refuse(handle, "404", "NotFound", "The endpoint has no deployment of the name in azureml-model-deployment")
    return
  else
    name = endpoint.names[string.lower(named)]
  end
  headers:remove("authorization") -- keys are not the model's affair
  headers:replace("x-entrepot-pick", name)
end
