-- SPDX-License-Identifier: Apache-2.0
--
-- Wireshark and tshark dissector of weft's tunnel (docs/wire-format.md):
--
--     tshark -X lua_script:scripts/weft.lua -i uA udp port 50103
--
-- Clear and bare inner packets are handed to the IP dissectors; sealed ones stay sealed.

local weft = Proto("weft", "weft tunnel")

local types = {
    [1] = "initiation", [2] = "response", [3] = "cookie", [4] = "sealed packet",
    [5] = "sealed control", [6] = "clear packet", [7] = "clear control",
}
local kinds = { [1] = "probe", [2] = "answer", [3] = "close", [16] = "hello question", [17] = "hello answer" }

local field = {
    magic = ProtoField.uint8("weft.magic", "Magic", base.HEX),
    version = ProtoField.uint8("weft.version", "Version", base.DEC, nil, 0xF0),
    type = ProtoField.uint8("weft.type", "Type", base.DEC, types, 0x0F),
    lane = ProtoField.uint8("weft.lane", "Lane"),
    flags = ProtoField.uint8("weft.flags", "Flags", base.HEX),
    partial = ProtoField.bool("weft.flags.partial_checksum", "Inner checksum partial", 8, nil, 0x01),
    redirected = ProtoField.bool("weft.flags.redirected", "Redirected once", 8, nil, 0x02),
    receiver = ProtoField.uint32("weft.receiver_index", "Receiver index", base.HEX),
    sender = ProtoField.uint32("weft.sender_index", "Sender index", base.HEX),
    counter = ProtoField.uint64("weft.counter", "Counter"),
    sealed = ProtoField.bytes("weft.sealed", "Ciphertext"),
    tag = ProtoField.bytes("weft.tag", "Tag"),
    ephemeral = ProtoField.bytes("weft.ephemeral", "Ephemeral key"),
    mac1 = ProtoField.bytes("weft.mac1", "mac1"),
    mac2 = ProtoField.bytes("weft.mac2", "mac2"),
    nonce = ProtoField.bytes("weft.nonce", "Nonce"),
    kind = ProtoField.uint8("weft.kind", "Kind", base.DEC, kinds),
    time = ProtoField.uint64("weft.time_ns", "Time (ns)"),
    random = ProtoField.uint32("weft.random", "Random", base.HEX),
    start = ProtoField.uint64("weft.start_number", "Start number"),
    node = ProtoField.string("weft.node", "Node"),
}
weft.fields = field

local HEADER, TAG = 16, 16
local ip_dissectors = { [4] = Dissector.get("ip"), [6] = Dissector.get("ipv6") }

local function inner_packet(buffer, pinfo, root)
    local dissector = buffer:len() > 0 and ip_dissectors[math.floor(buffer(0, 1):uint() / 16)]
    if dissector then dissector:call(buffer, pinfo, root) end
end

local function sealed_body(body, tree)
    if body:len() < TAG then return end
    tree:add(field.sealed, body(0, body:len() - TAG))
    tree:add(field.tag, body(body:len() - TAG, TAG))
end

local function handshake_body(body, tree)
    if body:len() < 168 then return end
    tree:add(field.ephemeral, body(0, 32))
    tree:add(field.sealed, body(32, 104))
    tree:add(field.mac1, body(136, 16))
    tree:add(field.mac2, body(152, 16))
end

local function cookie_body(body, tree)
    if body:len() < 44 then return end
    tree:add(field.nonce, body(0, 12))
    tree:add(field.sealed, body(12, 32))
end

local function control_body(body, tree)
    if body:len() < 16 then return end
    tree:add(field.kind, body(0, 1))
    if body(0, 1):uint() < 16 then
        tree:add(field.time, body(8, 8))
    elseif body:len() >= 85 then
        tree:add(field.sender, body(4, 4))
        tree:add(field.random, body(8, 4))
        tree:add(field.start, body(12, 8))
        tree:add(field.node, body(21, math.min(body(20, 1):uint(), 64)))
    end
end

function weft.dissector(buffer, pinfo, root)
    if buffer:len() == 0 then return 0 end
    local nibble = math.floor(buffer(0, 1):uint() / 16)
    if nibble == 4 or nibble == 6 then
        root:add(weft, buffer(0, 1), "weft tunnel, bare")
        inner_packet(buffer, pinfo, root)
        return buffer:len()
    end
    if buffer:len() < HEADER or buffer(0, 1):uint() ~= 0xF7 then return 0 end

    local type = buffer(1, 1):uint() % 16
    local name = types[type] or "unknown"
    pinfo.cols.protocol = "weft"
    pinfo.cols.info = "weft " .. name
    local tree = root:add(weft, buffer(0, HEADER), "weft tunnel, " .. name)
    tree:add(field.magic, buffer(0, 1))
    tree:add(field.version, buffer(1, 1))
    tree:add(field.type, buffer(1, 1))
    tree:add(field.lane, buffer(2, 1))
    tree:add(field.flags, buffer(3, 1))
    tree:add(field.partial, buffer(3, 1))
    tree:add(field.redirected, buffer(3, 1))
    tree:add(field.receiver, buffer(4, 4))
    if type <= 3 then tree:add(field.sender, buffer(8, 4)) else tree:add(field.counter, buffer(8, 8)) end

    if buffer:len() == HEADER then return HEADER end
    local body = buffer(HEADER):tvb()
    if type == 1 or type == 2 then
        handshake_body(body, tree)
    elseif type == 3 then
        cookie_body(body, tree)
    elseif type == 4 or type == 5 then
        sealed_body(body, tree)
    elseif type == 6 then
        inner_packet(body, pinfo, root)
    elseif type == 7 then
        control_body(body, tree)
    end
    return buffer:len()
end

DissectorTable.get("udp.port"):add(50103, weft)
