"""Damages MIKEY messages and what carries them: only SdpError may come out, and what is taken must round-trip.

Run by hand: python tests/fuzz/fuzz_mikey.py [SECONDS [SEED]]. A finding is printed with its input and ends the run
with status 1.
"""

from __future__ import annotations

import base64
import contextlib
import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from damage import fuzz
from mikey_messages import ONVIF
from mikey_parties import BOB_SSRC, NOW, STREAMS, Pair, RsaAuthority

from sdp import SdpError
from sdp.mikey import (
    NULL_OVER_TLS,
    EncryptionAlgorithm,
    HashFunction,
    Initiator,
    Kemac,
    KeyData,
    KeyMgmtAttribute,
    KeyType,
    KeyValidity,
    MacAlgorithm,
    Message,
    Mode,
    Peer,
    PrfFunction,
    Proposal,
    Rand,
    ReplayCache,
    Responder,
    ResponderSettings,
    SignatureType,
    T,
    describe,
    parse_key_data,
    parse_key_mgmt_header,
    serialize_key_mgmt_header,
    uri_id,
)
from sdp.mikey.certificates import known_public_key, public_key_of
from sdp.mikey.exchange import seal_with_kemac, seal_with_signature
from sdp.mikey.key_transport import MessageKeys
from sdp.mikey.message import serialize_chain
from sdp.mikey.prf import KeyDerivation
from srtp import SecretBytes

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "mikey"
MESSAGES = [ONVIF] + [
    bytes.fromhex(json.loads(path.read_text())[which])
    for path in sorted(VECTORS.glob("*.json"))
    if path.stem != "parties"
    for which in ("i_message", "r_message")
]
PIECES = [bytes((number,)) for number in (*range(27), 0x21, 0x80, 0xFF)]
PIECES += [b"\0\0", b"\xff\xff", b"\0\x10", b"\x0f\xff", b"\x30\x82", b"sip:alice@example.com"]
TEXTS = [f"mikey {base64.b64encode(one).decode()}".encode() for one in MESSAGES[:6]]
HEADERS = [b'prot=mikey; uri="rtsp://a/b"; data="AAAA", prot=mikey; data="AAAA"']
TEXT_PIECES = [b"prot=", b"mikey", b";", b",", b'"', b"=", b" ", b"uri=", b"data=", b"\xff", b"\r\n", b"\0"]


def pair() -> Pair:
    authority = RsaAuthority("MIKEY fuzz authority")
    return Pair(authority.issue("sip:alice@example.com"), authority.issue("sip:bob@example.com"), authority)


PAIR = pair()
LENIENT = Responder(
    PAIR.bob,
    lambda _: Peer(uri_id("rtsp://camera"), PAIR.psk),
    ReplayCache(),
    ResponderSettings(profile=NULL_OVER_TLS),
)


def check_message(data: bytes) -> None:
    with contextlib.suppress(SdpError):
        message = Message.parse(data)
        assert message.serialize() == data
        assert describe(message)
        for kemac in message.all(Kemac):
            for with_id in (False, True):
                with contextlib.suppress(SdpError):
                    identity, keys = parse_key_data(bytes(kemac.data), with_id=with_id)
                    again = serialize_chain(((identity,) if identity else ()) + keys)
                    assert again == bytes(kemac.data)


def check_certificates(data: bytes) -> None:
    """Damaged certificates, as if the signature over them had held."""
    with contextlib.suppress(SdpError):
        message = Message.parse(data)
        for encrypting in (False, True):
            with contextlib.suppress(SdpError):
                public_key_of(message, PAIR.alice_to_bob(), NOW, encrypting=encrypting)
    assert known_public_key(PAIR.bob_to_alice(), NOW, encrypting=True)


def check_responders(data: bytes) -> None:
    """Nothing damaged authenticates; the lenient profile authenticates nothing and must still hold."""
    with contextlib.suppress(SdpError):
        accepted = LENIENT.receive(data, NOW, ssrcs=(BOB_SSRC,))
        assert accepted.bundle.sessions is not None
    if data not in REQUESTS:
        with contextlib.suppress(SdpError):
            PAIR.responder().receive(data, NOW, ssrcs=(BOB_SSRC,))
            raise AssertionError("a damaged message was accepted")


def check_sealed(data: bytes) -> None:
    """Damaged messages of somebody who has the key, or may sign: authentic, and still only refused or accepted."""
    check_one_sealed(data)
    # Most damage ends in the parser. A few changed bytes get further.
    source = random.Random(data)
    changed = bytearray(source.choice(SEALABLE))
    for _ in range(source.randint(1, 3)):
        changed[source.randrange(len(changed))] = source.randrange(256)
    check_one_sealed(bytes(changed))


def check_one_sealed(data: bytes) -> None:
    with contextlib.suppress(SdpError):
        message = Message.parse(data)
        rands, timestamps = message.all(Rand), message.all(T)
        mode = next((mode for mode in Mode if mode.request == message.header.data_type), None)
        if not rands or not timestamps or mode is None or not message.payloads:
            return
        derivation = KeyDerivation(PrfFunction(message.header.prf & 1), message.header.csb_id, rands[0].rand)
        keys = MessageKeys(derivation, PAIR.psk)
        front = message.payloads[:-1]
        if mode.signs:
            assert PAIR.alice.private_key is not None
            kinds = (SignatureType.RSA_PKCS1_1_5, HashFunction.SHA_1)
            sealed = seal_with_signature(message.header, front, PAIR.alice.private_key, *kinds)
        else:
            kemacs = message.all(Kemac)
            clear = bytes(kemacs[-1].data) if kemacs else b""
            secret = SecretBytes(keys.encrypt(EncryptionAlgorithm.AES_CM_128, timestamps[0].value64, clear))
            kemac = Kemac(EncryptionAlgorithm.AES_CM_128, secret, MacAlgorithm.HMAC_SHA_1_160)
            sealed = seal_with_kemac(message.header, front, kemac, keys)
        accepted = PAIR.responder(require_sdp_ids=False).receive(sealed, NOW, ssrcs=(BOB_SSRC,))
        assert accepted.bundle.sessions is not None


def check_initiators(data: bytes) -> None:
    for initiator, response in EXCHANGES:
        if data != response:
            with contextlib.suppress(SdpError):
                initiator.receive(data, NOW)
                raise AssertionError("a damaged response was accepted")


def check_attribute(data: bytes) -> None:
    with contextlib.suppress(SdpError):
        attribute = KeyMgmtAttribute.parse(data.decode("utf-8", "replace"))
        assert KeyMgmtAttribute.parse(attribute.serialize()) == attribute


def check_header(data: bytes) -> None:
    with contextlib.suppress(SdpError):
        specs = parse_key_mgmt_header(data.decode("utf-8", "replace"))
        assert parse_key_mgmt_header(serialize_key_mgmt_header(specs)) == specs


def exchanges() -> tuple[list[bytes], list[tuple[Initiator, bytes]]]:
    requests, answered = [], []
    for mode in Mode:
        initiator = PAIR.initiator(Proposal(mode=mode, streams=STREAMS))
        requests.append(initiator.create_message(NOW))
        response = PAIR.responder().receive(requests[-1], NOW, ssrcs=(BOB_SSRC,)).response
        assert response is not None
        answered.append((initiator, response))
    return requests, answered


def clear_requests() -> list[bytes]:
    """First messages whose KEMAC holds key data in clear, for check_sealed to encrypt once it is damaged."""
    key = KeyData(KeyType.TGK_SALT, PAIR.psk, SecretBytes(bytes(14)), KeyValidity(1, spi=b"\1"))
    proposal = Proposal(
        mode=Mode.PSK,
        streams=STREAMS,
        keys=(
            key,
            KeyData(KeyType.TEK_SALT, SecretBytes(bytes(16)), SecretBytes(bytes(14)), KeyValidity(1, spi=b"\2")),
        ),
        encryption=EncryptionAlgorithm.NULL,
        mac=MacAlgorithm.NULL,
    )
    return [PAIR.initiator(proposal, profile=NULL_OVER_TLS).create_message(NOW)]


REQUESTS, EXCHANGES = exchanges()
SEALABLE = [*REQUESTS, *clear_requests() * 3]


if __name__ == "__main__":
    responses = [response for _, response in EXCHANGES]
    checks = [
        (check_message, MESSAGES),
        (check_certificates, REQUESTS),
        (check_responders, [*REQUESTS, ONVIF]),
        (check_sealed, SEALABLE),
        (check_initiators, responses),
        (check_attribute, TEXTS),
        (check_header, HEADERS),
    ]
    sys.exit(fuzz(checks, PIECES + TEXT_PIECES, sys.argv[1:]))
