"""The payloads of RFC 6043 6 and RFC 6509 4.2, byte for byte as their figures have them, and cut or damaged."""

from __future__ import annotations

import pytest

from sdp.mikey import Message, MikeyParseError, describe
from sdp.mikey.ticket_payloads import Idr, Randr, Sakke, Ticket, TicketPolicy, Tp, Tr

# HDR of a REQUEST_INIT_PSK (11), the first payload to be put in, PRF-HMAC-SHA-256, CSB ID, no CS, GENERIC-ID map.
HEADER = bytes.fromhex("01 0b {first} 01 cafebabe 00 02".format(first="00").replace(" ", ""))
POLICY = TicketPolicy(1, 0, 1, 1, 0b1100_0000_0001, bytes.fromhex("0b00 04 01020304".replace(" ", "")))
CASES = {
    # type, bytes after the "next payload", what it is, what the printer has to name
    "TR": (13, "02 00 e000000080000000", Tr(2, 0, bytes.fromhex("e000000080000000")), "TS Role: 2 (START)"),
    "IDR": (14, "01 01 0005 7369703a61", Idr(1, 1, b"sip:a"), "ID Data: sip:a"),
    "RANDR": (15, "01 10 " + "aa" * 16, Randr(1, bytes([0xAA]) * 16), "RAND Role: 1"),
    "TP": (16, "0001 00 01 038020 0007 0b000401020304", Tp(POLICY), "Ticket Type: 1"),
    "TICKET": (
        17,
        "0001 00 01 038020 0007 0b000401020304 0003 746b74 0002 6964",
        Ticket(POLICY, b"tkt", b"id"),
        "Ticket Data: 746b74 (3 bytes)",
    ),
    "SAKKE": (26, "01 01 0004 deadbeef", Sakke(1, 1, bytes.fromhex("deadbeef")), "SAKKE data: deadbeef (4 bytes)"),
}


def message(kind: int, body: bytes) -> bytes:
    return HEADER[:2] + bytes((kind,)) + HEADER[3:] + b"\0" + body


@pytest.mark.parametrize("name", CASES)
def test_byte_for_byte(name):
    kind, text, payload, shown = CASES[name]
    data = message(kind, bytes.fromhex(text.replace(" ", "")))
    parsed = Message.parse(data)
    assert parsed.payloads == (payload,)
    assert parsed.serialize() == data
    lines = [line for one in describe(parsed) for line in one.lines()]
    assert any(shown in line for line in lines), lines
    assert any("next payload: 0 (LAST)" in line for line in lines)


@pytest.mark.parametrize("name", CASES)
def test_every_cut_is_a_parse_error(name):
    kind, text, _, _ = CASES[name]
    body = bytes.fromhex(text.replace(" ", ""))
    for length in range(len(body)):
        with pytest.raises(MikeyParseError):
            Message.parse(message(kind, body[:length]))
    with pytest.raises(MikeyParseError):
        Message.parse(message(kind, body + b"\0"))


@pytest.mark.parametrize("name", ["IDR", "TP", "TICKET", "SAKKE"])
def test_lengths_beyond_the_message(name):
    kind, text, _, _ = CASES[name]
    body = bytearray.fromhex(text.replace(" ", ""))
    at = {"IDR": 2, "TP": 7, "TICKET": 7, "SAKKE": 2}[name]
    body[at : at + 2] = b"\xff\xff"
    with pytest.raises(MikeyParseError):
        Message.parse(message(kind, bytes(body)))


def test_payloads_inside_a_policy_say_what_comes_next():
    kind, text, _, _ = CASES["TP"]
    parsed = Message.parse(message(kind, bytes.fromhex(text.replace(" ", ""))))
    (tp,) = describe(parsed)[1:]
    assert [(one.name, one.fields[0]) for one in tp.inner] == [("RAND", ("next payload", "0 (LAST)"))]
