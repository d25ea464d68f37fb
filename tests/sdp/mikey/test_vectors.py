"""The vectors of every mode, against a second derivation from the RFCs' text, and against our own code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mikey_derivation as rfc
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from mikey_parties import BOB_SSRC

from sdp.mikey import (
    Cert,
    Initiator,
    Message,
    Mode,
    Ourselves,
    Peer,
    Proposal,
    ReplayCache,
    Responder,
    SrtpId,
    SrtpIdMap,
    uri_id,
)
from sdp.mikey.code_points import EncryptionAlgorithm, MacAlgorithm, PrfFunction
from sdp.mikey.diffie_hellman import DhKey
from sdp.mikey.prf import prf
from srtp import SecretBytes

FOLDER = Path(__file__).resolve().parents[2] / "vectors" / "mikey"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json") if path.stem != "parties")
ALGORITHMS = {
    "MIKEY-1": PrfFunction.MIKEY_1,
    "PRF-HMAC-SHA-256": PrfFunction.HMAC_SHA_256,
    "AES-CM-128": EncryptionAlgorithm.AES_CM_128,
    "AES-KW-128": EncryptionAlgorithm.AES_KW_128,
    "AES-CM-256": EncryptionAlgorithm.AES_CM_256,
    "HMAC-SHA-1-160": MacAlgorithm.HMAC_SHA_1_160,
    "HMAC-SHA-256-256": MacAlgorithm.HMAC_SHA_256_256,
}


def load(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text())


def private_key(who: str) -> RSAPrivateKey:
    key = serialization.load_pem_private_key(load("parties")[f"{who}_key"].encode(), None)
    assert isinstance(key, RSAPrivateKey)
    return key


def derive(vector: dict[str, Any]) -> dict[str, Any]:
    messages = (bytes.fromhex(vector["i_message"]), bytes.fromhex(vector["r_message"]))
    match vector["mode"]:
        case "PSK":
            return rfc.psk(vector, *messages)
        case "PUBLIC_KEY":
            return rfc.public_key(vector, *messages, private_key("responder"))
        case "RSA_R":
            return rfc.rsa_r(vector, *messages, private_key("initiator"))
        case "DH_SIGN":
            return rfc.dh_sign(vector, *messages)
        case _:
            return rfc.dhhmac(vector, *messages)


def test_every_mode_has_a_vector() -> None:
    assert {load(name)["mode"] for name in NAMES} == {mode.name for mode in Mode}


@pytest.mark.parametrize("name", NAMES)
def test_a_second_derivation_finds_the_same(name: str) -> None:
    vector = load(name)
    found = derive(vector)
    # The session keys are those of the one stream and the other, in order.
    sessions = [{key: value.hex() for key, value in one.items()} for one in found.pop("sessions")]
    assert sessions == vector["sessions"]
    inputs = {"mode", "prf", "encr", "mac_alg", "now", "initiator", "responder", "i_message", "r_message"}
    secrets = {"psk", "xi", "xr", "sessions"}
    assert set(found) == set(vector) - inputs - secrets, (
        "each value of the file is derived, and each that is derived is in it"
    )
    for key, value in found.items():
        assert value.hex() == vector[key], key


@pytest.mark.parametrize("name", NAMES)
def test_the_second_derivation_notices_a_slip(name: str) -> None:
    """A wrong secret has to fail in it, or it would prove nothing."""
    vector = load(name)
    if "psk" in vector:
        vector["psk"] = "00" * 32
    elif "xi" in vector:
        vector["xi"] = f"{int(vector['xi'], 16) + 1:x}"
    else:
        vector["initiator"] = "sip:mallory@example.com"
    with pytest.raises((AssertionError, InvalidSignature)):
        derive(vector)


def parties(vector: dict[str, Any]) -> tuple[Ourselves, Ourselves]:
    """Alice and Bob, with the certificate of each that has one in this mode."""
    found = []
    for who in ("initiator", "responder"):
        certificate = x509.load_pem_x509_certificate(load("parties")[f"{who}_certificate"].encode())
        message = Message.parse(bytes.fromhex(vector[f"{who[0]}_message"]))
        chain = tuple(x509.load_der_x509_certificate(one.data) for one in message.all(Cert)) or (certificate,)
        assert chain[0] == certificate
        found.append(Ourselves(uri_id(vector[who]), private_key(who), chain))
    return found[0], found[1]


@pytest.mark.parametrize("name", NAMES)
def test_our_responder_takes_the_first_message(name: str) -> None:
    vector = load(name)
    alice, bob = parties(vector)
    psk = SecretBytes(bytes.fromhex(vector["psk"])) if "psk" in vector else None
    peer = Peer(alice.identity, psk, alice.certificates[0])
    accepted = Responder(bob, lambda _: peer, ReplayCache()).receive(
        bytes.fromhex(vector["i_message"]), vector["now"], ssrcs=(BOB_SSRC,), sdp_ids=("mikey",)
    )
    assert accepted.response is not None
    if vector["mode"] in ("PSK", "PUBLIC_KEY"):
        assert accepted.response.hex() == vector["r_message"]
        teks = [bytes(one.policy.master_key).hex() for one in accepted.bundle.sessions]
        assert teks == [one["tek"] for one in vector["sessions"]]
    assert bytes(accepted.bundle.derivation.rand).hex() == vector["rand"]


@pytest.mark.parametrize("name", [name for name in NAMES if load(name)["mode"] in ("PSK", "DHHMAC", "DH_SIGN")])
def test_our_initiator_makes_the_same_message_again(name: str) -> None:
    """From the same randomness, byte for byte, and comes to the same keys with the response of the file."""
    vector = load(name)
    alice, bob = parties(vector)
    psk = SecretBytes(bytes.fromhex(vector["psk"])) if "psk" in vector else None
    randomness = [vector["csb_id"], vector["rand"], vector.get("xi", vector["tgk"])]
    message = Message.parse(bytes.fromhex(vector["i_message"]))
    assert isinstance(message.header.cs_id_map, SrtpIdMap)
    entries = tuple(SrtpId(one.policy_no, one.ssrc, one.roc) for one in message.header.cs_id_map.entries)
    proposal = Proposal(
        mode=Mode[vector["mode"]],
        streams=entries,
        prf=ALGORITHMS[vector["prf"]],  # type: ignore[arg-type]  # by name
        encryption=ALGORITHMS[vector["encr"]],  # type: ignore[arg-type]
        mac=ALGORITHMS[vector["mac_alg"]],  # type: ignore[arg-type]
        sdp_ids=("mikey",),
    )
    initiator = Initiator(
        proposal,
        alice,
        Peer(bob.identity, psk, bob.certificates[0]),
        random_bytes=lambda length: bytes.fromhex(randomness.pop(0))[:length],
    )
    assert initiator.create_message(vector["now"]).hex() == vector["i_message"]
    bundle = initiator.receive(bytes.fromhex(vector["r_message"]), vector["now"])
    for one, expected in zip(bundle.sessions, vector["sessions"], strict=True):
        assert bytes(one.policy.master_key).hex() == expected["tek"]
        assert bytes(one.policy.master_salt).hex() == expected["salt"]


@pytest.mark.parametrize("function", PrfFunction)
@pytest.mark.parametrize("inkey_length", [1, 16, 24, 31, 32, 33, 63, 64, 65, 96, 128, 192])
@pytest.mark.parametrize("length", [1, 14, 16, 20, 32, 40, 64])
def test_the_prf_at_every_boundary(function: PrfFunction, inkey_length: int, length: int) -> None:
    name = "MIKEY-1" if function is PrfFunction.MIKEY_1 else "PRF-HMAC-SHA-256"
    inkey = bytes(range(inkey_length))
    assert prf(function, inkey, b"label", length) == rfc.prf(name, inkey, b"label", 8 * length)
    if inkey_length >= 32:
        assert (
            prf(function, bytes((inkey[0] ^ 1,)) + inkey[1:], b"label", length)
            != prf(function, inkey, b"label", length)
            or length == 1
        )


def test_a_diffie_hellman_value_with_leading_zeros_keeps_its_length() -> None:
    vector = load("dhhmac")
    key = DhKey(0, SecretBytes((1).to_bytes(40)))  # type: ignore[arg-type]  # the number of OAKLEY 5
    assert key.value == (2).to_bytes(192)
    assert len(key.tgk(bytes.fromhex(vector["dhi"]))) == 192
