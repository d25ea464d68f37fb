"""Writes the vectors of this folder with our code; tests/sdp/mikey/test_vectors.py checks them by a second derivation.

Run by hand: python tests/vectors/mikey/generate.py. The files change with every run, as RSA and its padding are
random; everything else comes from a seed.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))

from cryptography.hazmat.primitives import serialization
from mikey_parties import BOB_SSRC, NOW, STREAMS, Pair, RsaAuthority

from sdp.mikey import (
    CryptoSessionBundle,
    Dh,
    EncryptionAlgorithm,
    Initiator,
    Kemac,
    MacAlgorithm,
    Message,
    Mode,
    Ourselves,
    Pke,
    PrfFunction,
    Proposal,
    ReplayCache,
    Responder,
    ResponderSettings,
)
from sdp.mikey.certificates import decrypt_envelope_key, signing_key
from sdp.mikey.code_points import MAC_LENGTHS
from sdp.mikey.key_transport import MessageKeys
from sdp.mikey.prf import MESSAGE_AUTHENTICATION_KEY, MESSAGE_ENCRYPTION_KEY, MESSAGE_SALT_KEY

FOLDER = Path(__file__).resolve().parent
PRFS = ("MIKEY-1", "PRF-HMAC-SHA-256")
ENCRYPTION = ("NULL", "AES-CM-128", "AES-KW-128", "AES-CM-256")
MACS = ("NULL", "HMAC-SHA-1-160", "HMAC-SHA-256-256")
CASES = [
    ("psk", Mode.PSK, 0, 1, 1),
    ("psk_sha256_aes256", Mode.PSK, 1, 3, 2),
    ("psk_key_wrap", Mode.PSK, 0, 2, 1),
    ("public_key", Mode.PUBLIC_KEY, 0, 1, 1),
    ("dh_sign", Mode.DH_SIGN, 0, 1, 1),
    ("dhhmac", Mode.DHHMAC, 0, 1, 1),
    ("dhhmac_sha256", Mode.DHHMAC, 1, 1, 2),
    ("rsa_r", Mode.RSA_R, 0, 1, 1),
]


def stream(seed: str) -> Callable[[int], bytes]:
    """Bytes that look random and are the same in each run; `taken` on the function lists them."""
    taken: list[bytes] = []

    def take(length: int) -> bytes:
        taken.append(hashlib.shake_256(f"{seed} {len(taken)}".encode()).digest(length))
        return taken[-1]

    take.taken = taken  # type: ignore[attr-defined]  # so that the exponents can be written down
    return take


def pem(party: Ourselves) -> str:
    assert party.private_key is not None
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return party.private_key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def vector(pair: Pair, name: str, mode: Mode, prf: int, encryption: int, mac: int) -> dict[str, object]:
    ours, theirs = stream(f"{name} initiator"), stream(f"{name} responder")
    proposal = Proposal(
        mode=mode,
        streams=STREAMS,
        prf=PrfFunction(prf),
        encryption=EncryptionAlgorithm(encryption),
        mac=MacAlgorithm(mac),
        sdp_ids=("mikey",),
    )
    initiator = Initiator(proposal, pair.alice, pair.bob_to_alice(), random_bytes=ours)
    i_message = initiator.create_message(NOW)
    peer = pair.alice_to_bob()
    responder = Responder(pair.bob, lambda _: peer, ReplayCache(), ResponderSettings(), random_bytes=theirs)
    accepted = responder.receive(i_message, NOW, ssrcs=(BOB_SSRC,), sdp_ids=("mikey",))
    assert accepted.response is not None
    bundle = initiator.receive(accepted.response, NOW)
    found: dict[str, object] = {
        "mode": mode.name,
        "prf": PRFS[prf],
        "encr": ENCRYPTION[encryption],
        "mac_alg": MACS[mac],
        "now": NOW,
        "initiator": "sip:alice@example.com",
        "responder": "sip:bob@example.com",
        "i_message": i_message.hex(),
        "r_message": accepted.response.hex(),
        "csb_id": bundle.csb_id.to_bytes(4).hex(),
        "t": bundle.timestamp.value.hex(),
        "rand": bundle.derivation.rand.hex(),
        "tgk": bytes(bundle.keys[0].key).hex(),
        "sessions": [
            {"tek": bytes(one.policy.master_key).hex(), "salt": bytes(one.policy.master_salt).hex()}
            for one in bundle.sessions
        ],
    }
    if mode in (Mode.PSK, Mode.DHHMAC):
        found["psk"] = bytes(pair.psk).hex()
    if mode.uses_dh:
        for key, source in (("xi", ours), ("xr", theirs)):
            exponent = int.from_bytes(source.taken[-1]) | 1 << 319  # type: ignore[attr-defined]  # as set by stream()
            found[key] = f"{exponent:080x}"
    return found | intermediate(pair, proposal, bundle, i_message, accepted.response)


def intermediate(
    pair: Pair, proposal: Proposal, bundle: CryptoSessionBundle, i_message: bytes, r_message: bytes
) -> dict[str, object]:
    """Everything between the secrets and the result."""
    found: dict[str, object] = {}
    mode = proposal.mode
    if mode.uses_dh:
        dhr, dhi = (one.value for one in Message.parse(r_message).all(Dh))
        found |= {"dhi": dhi.hex(), "dhr": dhr.hex()}
    if mode is Mode.DH_SIGN:
        return found
    key = pair.psk
    carrier = Message.parse(r_message if mode is Mode.RSA_R else i_message)
    kemac = carrier.all(Kemac)[0]
    if mode in (Mode.PUBLIC_KEY, Mode.RSA_R):
        opener = pair.bob if mode is Mode.PUBLIC_KEY else pair.alice
        key = decrypt_envelope_key(signing_key(opener), carrier.all(Pke)[0].data)
        found |= {"env_key": bytes(key).hex(), "kemac_mac": kemac.mac.hex()}
    derivation = bundle.derivation
    auth_length = MAC_LENGTHS[proposal.mac]
    found["auth_key"] = bytes(derivation.from_message_key(key, MESSAGE_AUTHENTICATION_KEY, auth_length)).hex()
    last = Message.parse(r_message).payloads[-1]
    if mode is not Mode.RSA_R:
        found["r_mac"] = (last.mac if isinstance(last, Kemac) else last.ver_data).hex()  # type: ignore[union-attr]
    if mode in (Mode.PSK, Mode.DHHMAC):
        found["i_mac"] = kemac.mac.hex()
    if mode is Mode.DHHMAC:
        return found
    wrap = proposal.encryption is EncryptionAlgorithm.AES_KW_128
    encr_key = derivation.from_message_key(key, MESSAGE_ENCRYPTION_KEY, 32 if proposal.encryption == 3 else 16)
    salt_key = bytes(derivation.from_message_key(key, MESSAGE_SALT_KEY, 8 if wrap else 14))
    data = MessageKeys(derivation, key).decrypt(proposal.encryption, bundle.timestamp.value, bytes(kemac.data))
    found |= {"encr_key": bytes(encr_key).hex(), "salt_key": salt_key.hex(), "key_data": data.hex()}
    if not wrap:
        mask = int.from_bytes(derivation.csb_id.to_bytes(4) + bundle.timestamp.value)
        found["iv"] = ((int.from_bytes(salt_key) ^ mask) << 16).to_bytes(16).hex()
    return found


def main() -> None:
    authority = RsaAuthority("MIKEY vector authority")
    pair = Pair(authority.issue("sip:alice@example.com"), authority.issue("sip:bob@example.com"), authority)
    parties = {"initiator_key": pem(pair.alice), "responder_key": pem(pair.bob)}
    for who, party in (("initiator", pair.alice), ("responder", pair.bob)):
        parties[f"{who}_certificate"] = party.certificates[0].public_bytes(serialization.Encoding.PEM).decode()
    (FOLDER / "parties.json").write_text(json.dumps(parties, indent=1) + "\n")
    for name, *case in CASES:
        text = json.dumps(vector(pair, name, *case), indent=1)  # type: ignore[arg-type]  # as CASES has them
        (FOLDER / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
