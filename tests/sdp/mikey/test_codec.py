"""MIKEY messages byte for byte: every payload, every boundary, every kind of damage."""

from __future__ import annotations

import pickle

import mikey_messages
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdp import SdpError
from sdp.mikey import (
    Cert,
    Dh,
    Err,
    GeneralExtension,
    Header,
    Id,
    Kemac,
    KeyData,
    Message,
    MikeyParseError,
    Pke,
    PolicyParameter,
    Rand,
    Sign,
    Sp,
    SrtpId,
    SrtpIdMap,
    T,
    V,
    describe,
    parse_key_data,
)
from sdp.mikey.message import serialize_chain
from srtp import SecretBytes

HEADER = Header(0, 1)


@given(mikey_messages.messages)
def test_what_is_written_is_read_back(message: Message) -> None:
    data = message.serialize()
    assert Message.parse(data) == message
    assert Message.parse(data).serialize() == data
    lines = [line for one in describe(message) for line in one.lines()]
    assert len(lines) > len(message.payloads)


@given(mikey_messages.messages, st.data())
def test_a_message_cut_short_is_refused(message: Message, data: st.DataObject) -> None:
    raw = message.serialize()
    with pytest.raises(MikeyParseError) as caught:
        Message.parse(raw[: data.draw(st.integers(0, len(raw) - 1))])
    assert caught.value.payload
    assert caught.value.field
    with pytest.raises(MikeyParseError, match="follow the last payload"):
        Message.parse(raw + b"\0")


@given(st.binary(max_size=300))
@example(b"")
def test_any_bytes_give_a_message_or_the_error(data: bytes) -> None:
    for raw in (data, b"\x01" + data, b"\x01\x00\x05\x00abcd\x00\x00" + data):
        try:
            message = Message.parse(raw)
        except SdpError:
            continue
        assert message.serialize() == raw
        describe(message)


@given(st.lists(mikey_messages.key_data, min_size=1, max_size=4), st.booleans())
def test_key_data_in_kemac(keys: list[KeyData], with_id: bool) -> None:
    identity = Id(1, b"sip:alice@example.com") if with_id else None
    data = serialize_chain(((identity,) if identity else ()) + tuple(keys))
    assert parse_key_data(data, with_id=with_id) == (identity, tuple(keys))
    assert parse_key_data(b"", with_id=with_id) == (None, ())


def test_kemac_holds_nothing_but_key_data() -> None:
    with pytest.raises(MikeyParseError, match="Encr data"):
        parse_key_data(serialize_chain((KeyData(0, SecretBytes(b"k")), Rand(bytes(16)))), with_id=False)


def test_the_bytes_are_those_of_the_figures() -> None:
    """Each payload of RFC 3830 6 written out by hand."""
    cases = [
        (T(0, bytes(range(8))), "00 00 0001020304050607"),
        (Rand(b"\xaa" * 16), "00 10 " + "aa" * 16),
        (Id(1, b"sip:a"), "00 01 0005 7369703a61"),
        (Cert(0, b"\x30\x00"), "00 00 0002 3000"),
        (Pke(2, b"\x01\x02\x03"), "00 8003 010203"),
        (Sign(1, b"\x01\x02"), "1002 0102"),
        (Err(8), "00 08 0000"),
        (V(1, b"\x07" * 20), "00 01 " + "07" * 20),
        (GeneralExtension(1, b"mikey"), "00 01 0005 6d696b6579"),
        (Sp(3, 0, (PolicyParameter(0, b"\x01"), PolicyParameter(13, b"\x00\x05"))), "00 03 00 0007 000101 0d020005"),
        (Dh(1, b"\x05" * 96), "00 01 " + "05" * 96 + "00"),
        (Kemac(0, SecretBytes(b"x"), 0), "00 00 0001 78 00"),
        (KeyData(3, SecretBytes(b"kk"), SecretBytes(b"s")), "00 30 0002 6b6b 0001 73"),
    ]
    for payload, expected in cases:
        assert serialize_chain((payload,)) == bytes.fromhex(expected), type(payload).__name__
    header = Header(4, 0x01020304, SrtpIdMap((SrtpId(2, 0x0A0B0C0D, 5),)), v=True, prf=1)
    assert header.serialize(5) == bytes.fromhex("01 04 05 81 01020304 01 00 02 0a0b0c0d 00000005")


def test_the_numbering_of_rfc_4650_is_understood_in_dhhmac_only() -> None:
    body = bytes.fromhex("00 02 0000 00") + b"\x55" * 20
    kemac = Message.parse(Header(7, 1).serialize(1) + body).payloads[0]
    assert isinstance(kemac, Kemac)
    assert kemac.rfc4650_numbering
    assert kemac.mac == b"\x55" * 20
    assert Message(Header(7, 1), (kemac,)).serialize() == Header(7, 1).serialize(1) + body
    with pytest.raises(MikeyParseError):
        Message.parse(Header(0, 1).serialize(1) + body)
    ours = bytes.fromhex("00 00 0000 01") + b"\x55" * 20
    kemac = Message.parse(Header(8, 1).serialize(1) + ours).payloads[0]
    assert isinstance(kemac, Kemac)
    assert not kemac.rfc4650_numbering


def parse_first(kind: int, body: str) -> Message:
    return Message.parse(HEADER.serialize(kind) + bytes.fromhex(body))


@pytest.mark.parametrize(
    ("kind", "body", "payload", "field"),
    [
        (1, "00 01 ffff 00", "KEMAC", "Encr data"),
        (1, "00 01 0000 07", "KEMAC", "Mac alg"),
        (2, "00 3fff 00", "PKE", "Data"),
        (3, "00 09 00", "DH", "DH-Group"),
        (3, "00 00 00", "DH", "DH-value"),
        (3, "00 01" + "00" * 96 + "03", "DH", "KV"),
        (4, "0fff 00", "SIGN", "Signature"),
        (5, "00 04 00000000", "T", "TS type"),
        (5, "00 00 00000000", "T", "TS value"),
        (6, "00 00 0002 00", "ID", "ID Data"),
        (7, "00 00 00", "CERT", "Certificate Data len"),
        (8, "00 03 00", "CHASH", "Hash func"),
        (9, "00 03", "V", "Auth alg"),
        (10, "00 00 00 0002 0001", "SP", "Policy param Value"),
        (11, "00 ff 00", "RAND", "RAND"),
        (12, "00 00 00", "ERR", "Reserved"),
        (20, "00 01 0000 01", "KEY_DATA", "SPI"),
        (21, "00 00 0001", "GENERAL_EXTENSION", "Data"),
        (18, "00", "HDR", "next payload"),
        (5, "63 00 0000000000000000", "T", "next payload"),
    ],
)
def test_the_error_names_payload_and_field(kind: int, body: str, payload: str, field: str) -> None:
    with pytest.raises(MikeyParseError) as caught:
        parse_first(kind, body)
    assert (caught.value.payload, caught.value.field) == (payload, field)
    assert caught.value.offset is not None


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("02 00 00 00 00000000 00 00", "version"),
        ("01 00 00 00 00000000 00 03", "CS ID map type"),
        ("01 00 00 00 00000000 02 00 00 00000000 00000000", "Policy_no_2"),
        ("01 00 00 00 00000000 01 02 00 00 00 0003 000000 00", "Session Data"),
    ],
)
def test_the_error_names_the_field_of_the_header(header: str, field: str) -> None:
    with pytest.raises(MikeyParseError) as caught:
        Message.parse(bytes.fromhex(header))
    assert (caught.value.payload, caught.value.field) == ("HDR", field)


def test_lengths_are_bounded() -> None:
    with pytest.raises(MikeyParseError, match="more than 65536"):
        Message.parse(bytes(10_000_000))
    with pytest.raises(MikeyParseError, match="more than 256 payloads"):
        Message.parse(HEADER.serialize(11) + b"\x0b\x00" * 400 + b"\x00\x00")


@pytest.mark.parametrize(
    "payload",
    [
        Id(256, b""),
        Id(0, bytes(65536)),
        Rand(bytes(256)),
        Pke(4, b""),
        Sign(0, bytes(4096)),
        Dh(0, bytes(191)),
        Dh(7, bytes(192)),
        T(0, bytes(4)),
        V(1, b""),
        KeyData(0, SecretBytes(b""), SecretBytes(b"")),
        KeyData(1, SecretBytes(b"")),
        Kemac(0, SecretBytes(b""), 1),
    ],
)
def test_what_does_not_fit_is_not_written(payload: object) -> None:
    with pytest.raises(MikeyParseError):
        Message(HEADER, (payload,)).serialize()  # type: ignore[arg-type]  # any payload


def test_nothing_follows_a_signature() -> None:
    with pytest.raises(MikeyParseError, match="follows the signature"):
        Message(HEADER, (Sign(0, b""), Rand(bytes(16)))).serialize()


def test_the_onvif_message_is_read() -> None:
    message = Message.parse(mikey_messages.ONVIF)
    assert message.serialize() == mikey_messages.ONVIF
    kemac = message.only(Kemac)
    assert kemac is not None
    _, (key,) = parse_key_data(bytes(kemac.data), with_id=False)
    assert (key.kind, len(key.key), key.validity.spi) == (2, 30, bytes.fromhex("0000002f"))


def test_keys_are_not_shown() -> None:
    message = Message.parse(mikey_messages.ONVIF)
    key = bytes(range(0x40, 0x40 + 30))
    shown = "\n".join(line for one in describe(message) for line in one.lines())
    for text in (repr(message), shown):
        assert key.hex() not in text
        assert repr(key) not in text
    assert key.hex() in "\n".join(line for one in describe(message, show_keys=True) for line in one.lines())
    with pytest.raises(TypeError):
        pickle.dumps(message)
