from __future__ import annotations

import contextlib
import json
import struct
from pathlib import Path
from typing import Any

import aioice.stun
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdp.errors import StunError
from sdp.ice.stun import (
    MAX_ATTRIBUTES,
    StunAttribute,
    StunClass,
    StunMessage,
    decode_error,
    decode_xor_address,
    encode_error,
    encode_xor_address,
)

KEY = b"VOkJxbRl1RmTxUk/WvJxBt"
ATTRIBUTES = st.lists(
    st.tuples(
        st.integers(0, 0xFFFF).filter(
            lambda kind: kind not in (StunAttribute.MESSAGE_INTEGRITY, StunAttribute.FINGERPRINT)
        ),
        st.binary(max_size=30),
    ),
    max_size=20,
).map(tuple)


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    path = Path(__file__).parents[2] / "vectors" / "rfc5769.json"
    return {
        name: bytes.fromhex(value) if name.startswith(("re", "tr")) else value
        for name, value in json.loads(path.read_text()).items()
    }


def test_request_of_rfc_5769(vectors: dict[str, Any]) -> None:
    request = StunMessage.parse(vectors["request"])
    assert (request.message_class, request.method) == (StunClass.REQUEST, 1)
    assert request.transaction_id == vectors["transaction_id"]
    assert request.attribute(StunAttribute.USERNAME) == b"evtj:h6vY"
    assert request.attribute(StunAttribute.SOFTWARE) == b"STUN test client"
    assert request.attribute(StunAttribute.PRIORITY) == bytes.fromhex("6e0001ff")
    assert request.attribute(StunAttribute.ICE_CONTROLLED) == bytes.fromhex("932ff9b151263b36")
    assert request.unknown_attributes == ()
    assert request.has_fingerprint
    assert request.is_authentic(vectors["password"].encode())
    assert not request.is_authentic(b"another password")


@pytest.mark.parametrize(("name", "address"), [("ipv4", "192.0.2.1"), ("ipv6", "2001:db8:1234:5678:11:2233:4455:6677")])
def test_responses_of_rfc_5769(vectors: dict[str, Any], name: str, address: str) -> None:
    response = StunMessage.parse(vectors[f"response_{name}"])
    assert response.message_class is StunClass.SUCCESS
    assert response.is_authentic(vectors["password"].encode())
    mapped = response.attribute(StunAttribute.XOR_MAPPED_ADDRESS)
    assert mapped is not None
    assert decode_xor_address(mapped, response.transaction_id) == (address, 32853)
    assert encode_xor_address((address, 32853), response.transaction_id) == mapped


def test_any_changed_bit_is_noticed(vectors: dict[str, Any]) -> None:
    """By FINGERPRINT, or with that repaired by MESSAGE-INTEGRITY."""
    data = vectors["request"]
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 0x80 >> bit % 8
        try:
            parsed = StunMessage.parse(bytes(changed))
        except StunError:
            continue
        assert not parsed.has_fingerprint, bit  # its type was changed
    covered = len(data) - 8 - 20
    for at in (*range(2), *range(8, covered - 4), *range(covered, covered + 20)):
        changed = bytearray(data[:-8])
        changed[at] ^= 1
        changed[2:4] = struct.pack("!H", len(changed) - 20)
        try:
            assert not StunMessage.parse(bytes(changed)).is_authentic(KEY), at
        except StunError:
            continue


@given(
    message_class=st.sampled_from(StunClass),
    method=st.integers(0, 0xFFF),
    transaction_id=st.binary(min_size=12, max_size=12),
    attributes=ATTRIBUTES,
    key=st.none() | st.binary(min_size=1, max_size=80),
    fingerprint=st.booleans(),
)
def test_round_trip(
    message_class: StunClass,
    method: int,
    transaction_id: bytes,
    attributes: tuple[tuple[int, bytes], ...],
    key: bytes | None,
    fingerprint: bool,
) -> None:
    message = StunMessage(message_class, method, transaction_id, attributes)
    parsed = StunMessage.parse(message.serialize(key, fingerprint=fingerprint))
    assert parsed == message
    assert parsed.has_fingerprint is fingerprint
    assert parsed.has_integrity is (key is not None)
    assert key is None or parsed.is_authentic(key)
    assert not parsed.is_authentic(b"not the key" * 9)


@given(data=st.binary(max_size=200))
def test_noise_raises_stun_error_only(data: bytes) -> None:
    for one in (data, struct.pack("!HHI", 1, len(data) // 4 * 4, 0x2112A442) + bytes(12) + data):
        with contextlib.suppress(StunError):
            StunMessage.parse(one)


def test_aioice_reads_ours_and_we_read_its() -> None:
    ours = StunMessage(StunClass.REQUEST, attributes=((StunAttribute.USERNAME, b"them:us"),)).serialize(KEY)
    theirs = aioice.stun.parse_message(ours)
    assert theirs.check_message_integrity(KEY)
    assert not theirs.check_message_integrity(b"another")
    assert theirs.attributes["USERNAME"] == "them:us"
    message = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.RESPONSE)
    message.attributes["XOR-MAPPED-ADDRESS"] = ("192.0.2.7", 4711)
    message.add_message_integrity(KEY)
    parsed = StunMessage.parse(bytes(message))
    assert parsed.is_authentic(KEY)
    assert parsed.has_fingerprint
    mapped = parsed.attribute(StunAttribute.XOR_MAPPED_ADDRESS)
    assert mapped is not None
    assert decode_xor_address(mapped, parsed.transaction_id) == ("192.0.2.7", 4711)


def test_what_stands_behind_the_integrity_counts_for_nothing() -> None:
    """RFC 8489 14.5: anybody could have appended it."""
    data = StunMessage(StunClass.REQUEST, attributes=((StunAttribute.USERNAME, b"a:b"),)).serialize(
        KEY, fingerprint=False
    )
    more = struct.pack("!HH", StunAttribute.USE_CANDIDATE, 0)
    longer = data[:2] + struct.pack("!H", len(data) - 20 + 4) + data[4:] + more
    parsed = StunMessage.parse(longer)
    assert parsed.is_authentic(KEY)
    assert parsed.attribute(StunAttribute.USE_CANDIDATE) is None
    assert parsed.unknown_attributes == ()


@pytest.mark.parametrize(
    ("field", "damage"),
    [
        ("length", lambda data: data[:19]),
        ("length", lambda data: data + b"\0\0\0\0"),
        ("length", lambda data: data[:2] + b"\xff\xfc" + data[4:]),
        ("length", lambda data: data[:2] + b"\0\x01" + data[4:]),
        ("length", lambda data: data[:2] + b"\xff\xfc" + data[4:] + bytes(65532 - len(data) + 20)),
        ("type", lambda data: b"\xc0" + data[1:]),
        ("magic cookie", lambda data: data[:4] + bytes(4) + data[8:]),
        ("attributes", lambda data: data[:22] + b"\xff\xff" + data[24:]),
        ("FINGERPRINT", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
        (
            "attributes",
            lambda data: data[:2] + struct.pack("!H", len(data) - 16) + data[4:] + struct.pack("!HH", 0x8022, 0),
        ),
    ],
)
def test_malformed(vectors: dict[str, Any], field: str, damage: Any) -> None:
    with pytest.raises(StunError) as caught:
        StunMessage.parse(damage(vectors["request"]))
    assert caught.value.field in (field, "FINGERPRINT")


def test_attributes_are_bounded() -> None:
    def message(count: int) -> bytes:
        return StunMessage(StunClass.REQUEST, attributes=((0x8022, b""),) * count).serialize(fingerprint=False)

    assert len(StunMessage.parse(message(MAX_ATTRIBUTES)).attributes) == MAX_ATTRIBUTES
    with pytest.raises(StunError):
        StunMessage.parse(message(MAX_ATTRIBUTES + 1))
    with pytest.raises(StunError):
        message(600)


@pytest.mark.parametrize(("code", "reason"), [(300, ""), (401, "Unauthenticated"), (487, "Röle"), (699, "x" * 300)])
def test_error_codes(code: int, reason: str) -> None:
    assert decode_error(encode_error(code, reason)) == (code, reason)


@pytest.mark.parametrize("value", ["", "000004", "00000700", "00000464", "00000200"])
def test_malformed_error_codes(value: str) -> None:
    with pytest.raises(StunError):
        decode_error(bytes.fromhex(value))


@pytest.mark.parametrize("value", ["", "00", "0001a147", "0003a147e112a643", "0002a147e112a643", "0001a147e112a64300"])
def test_malformed_addresses(value: str) -> None:
    with pytest.raises(StunError):
        decode_xor_address(bytes.fromhex(value), bytes(12))
