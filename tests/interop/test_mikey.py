"""MIKEY with GStreamer, which reads and writes it, and with Wireshark, which takes it apart."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from mikey_parties import NOW, STREAMS, Pair, RsaAuthority
from peers.gstreamer_mikey import gstreamer
from peers.tshark import capture, dissect

from sdp.mikey import (
    NULL_OVER_TLS,
    Chash,
    DataType,
    EncryptionAlgorithm,
    Initiator,
    Kemac,
    KeyData,
    KeyType,
    KeyValidity,
    MacAlgorithm,
    Message,
    MikeyRefusedError,
    Mode,
    Ourselves,
    Peer,
    Proposal,
    Rand,
    ReplayCache,
    Responder,
    ResponderSettings,
    Sign,
    SrtpId,
    parse_key_data,
    uri_id,
)
from srtp import Profile, SecretBytes

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "mikey"
NAMES = sorted(path.stem for path in VECTORS.glob("*.json") if path.stem != "parties")
KEY, SALT = bytes(range(0x20, 0x30)), bytes(range(0x40, 0x4E))
CAMERA, US = uri_id("rtsp://camera.example.com"), Ourselves(uri_id("sip:us@example.com"))
uses_gstreamer = pytest.mark.interop("gst-inspect-1.0")
uses_tshark = pytest.mark.interop("tshark")


def null_proposal(**more: object) -> Proposal:
    return Proposal(
        mode=Mode.PSK,
        streams=(SrtpId(0, 0xDEAD), SrtpId(0, 0)),
        encryption=EncryptionAlgorithm.NULL,
        mac=MacAlgorithm.NULL,
        verification=False,
        include_identities=False,
        **more,  # type: ignore[arg-type]  # a test's shorthand
    )


def receive(message: bytes) -> tuple[bytes, bytes, bytes]:
    """The first stream's key, salt and MKI, as our lenient profile reads a message."""
    settings = ResponderSettings(profile=NULL_OVER_TLS)
    accepted = Responder(US, lambda _: Peer(CAMERA), ReplayCache(), settings).receive(message, NOW)
    policy = accepted.bundle.sessions[0].policy
    return bytes(policy.master_key), bytes(policy.master_salt), policy.mki


@uses_gstreamer
@pytest.mark.parametrize("together", [False, True])
def test_we_read_what_gstreamer_writes(together: bool) -> None:
    """Its key, with the salt in its own field or behind the key, and its tag length where the key length belongs."""
    key, salt = (KEY + SALT, b"") if together else (KEY, SALT)
    # Its TEK without a salt type has the salt field nevertheless unless the type says TEK alone.
    data = bytes.fromhex(gstreamer("make", key.hex(), salt.hex(), "51966")["message"])
    message = Message.parse(data)
    assert message.serialize() == data
    assert message.only(Rand) == Rand(bytes(range(16)))
    assert receive(data) == (KEY, SALT, b"")


@uses_gstreamer
@pytest.mark.parametrize(
    "keys",
    [
        (),
        (KeyData(KeyType.TEK_SALT, SecretBytes(KEY), SecretBytes(SALT)),),
        (KeyData(KeyType.TEK_SALT, SecretBytes(KEY), SecretBytes(SALT), KeyValidity(1, spi=b"\0\0\0\x2f")),),
        (
            KeyData(KeyType.TGK_SALT, SecretBytes(KEY), SecretBytes(SALT), KeyValidity(1, spi=b"\1")),
            KeyData(KeyType.TGK, SecretBytes(KEY * 2 + SALT), None, KeyValidity(1, spi=b"\2")),
        ),
        (KeyData(KeyType.TEK_SALT, SecretBytes(KEY), SecretBytes(SALT), KeyValidity(2, b"", bytes(6), b"\xff" * 6)),),
    ],
)
def test_gstreamer_reads_what_we_write_byte_for_byte(keys: tuple[KeyData, ...]) -> None:
    proposal = null_proposal(
        keys=keys, srtp_profiles=(Profile.AES_CM_128_HMAC_SHA1_80, Profile.AES_CM_128_HMAC_SHA1_32)
    )
    data = Initiator(proposal, US, Peer(CAMERA), profile=NULL_OVER_TLS).create_message(NOW)
    found = gstreamer("parse", data.hex())
    assert found["again"] == data.hex()
    assert found["sessions"] == 2
    assert found["payloads"] == [payload.payload_type for payload in Message.parse(data).payloads]
    (kemac,) = Message.parse(data).all(Kemac)
    _, ours = parse_key_data(bytes(kemac.data), with_id=False)
    assert len(ours) == max(1, len(keys))


def errors_and_updates() -> list[tuple[str, bytes]]:
    """An error message that is not authenticated, one that is, and one with policies, of each mode; and an update."""
    authority = RsaAuthority("an authority")
    pair = Pair(authority.issue("sip:alice@example.com"), authority.issue("sip:bob@example.com"), authority)
    found = []
    for mode in Mode:
        initiator = pair.initiator(Proposal(mode=mode, streams=STREAMS))
        request = initiator.create_message(NOW)
        for name, responder, late, sdp_ids in (
            ("late", pair.responder(), 999, None),
            ("bid down", pair.responder(), 0, ("mikey",)),
            ("policies", pair.responder(srtp_profiles=(Profile.AES_CM_128_HMAC_SHA1_32,)), 0, None),
        ):
            with pytest.raises(MikeyRefusedError) as caught:
                responder.receive(request, NOW + late, sdp_ids=sdp_ids)
            assert caught.value.response is not None
            found.append((f"{mode.name} {name}", caught.value.response))
        response = pair.responder().receive(request, NOW).response
        assert response is not None
        bundle = initiator.receive(response, NOW)
        update = pair.initiator(Proposal(mode=mode, streams=STREAMS, rekey=False), bundle=bundle)
        found.append((f"{mode.name} update", update.create_message(NOW + 1)))
    return found


@uses_tshark
def test_wireshark_finds_no_fault_with_any_message_of_ours(tmp_path: Path) -> None:
    messages, names = [], []
    for name in NAMES:
        vector = json.loads((VECTORS / f"{name}.json").read_text())
        for which in ("i_message", "r_message"):
            messages.append(bytes.fromhex(vector[which]))
            names.append(f"{name} {which}")
    for name, data in errors_and_updates():
        messages.append(data)
        names.append(name)
    null = Initiator(null_proposal(), US, Peer(CAMERA), profile=NULL_OVER_TLS).create_message(NOW)
    messages.append(null)
    names.append("null over tls")
    texts = dissect(capture(messages, tmp_path / "mikey.pcap"))
    assert len(texts) == len(messages)
    for name, data, text in zip(names, messages, texts, strict=True):
        message = Message.parse(data)
        assert "Multimedia Internet KEYing" in text, name
        assert "alformed" not in text, f"{name}: {text}"
        assert f"CSB ID: 0x{message.header.csb_id:08x}" in text, name
        # Wireshark 4.0 goes no further than a CHASH; SIGN has no next payload field.
        read = list(itertools.takewhile(lambda one: not isinstance(one, Chash | Sign), message.payloads))
        assert text.count("Next Payload: ") >= 1 + len(read), name


@uses_tshark
def test_wireshark_does_find_fault(tmp_path: Path) -> None:
    """The mark that the other test looks for is the one that a cut message gets."""
    data = bytes.fromhex(json.loads((VECTORS / "psk.json").read_text())["i_message"])
    (text,) = dissect(capture([data[:60]], tmp_path / "cut.pcap"))
    assert "alformed" in text
    assert Message.parse(data).header.data_type == DataType.PSK
