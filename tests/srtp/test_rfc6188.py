"""RFC 6188 in whole packets: keys derived by AES-192 and AES-256, as its section 7 has them, on every kernel table."""

from __future__ import annotations

import hmac
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from rtp_packets import rtp

from srtp import Direction, Policy, Profile, Session, available_kernels

SSRC = 0xCAFEBABE
VECTORS = json.loads((Path(__file__).resolve().parents[1] / "vectors" / "rfc6188.json").read_text())
PROFILES = {
    24: (Profile.AES_192_CM_HMAC_SHA1_80, Profile.AES_192_CM_HMAC_SHA1_32),
    32: (Profile.AES_256_CM_HMAC_SHA1_80, Profile.AES_256_CM_HMAC_SHA1_32),
}


@pytest.mark.parametrize("kernels", available_kernels())
@pytest.mark.parametrize("vector", VECTORS["key_derivation"], ids=lambda vector: vector["section"])
def test_derived_keys_protect(kernels: str, vector: dict[str, str]) -> None:
    keys = {name: bytes.fromhex(value) for name, value in vector.items() if name != "section"}
    for profile in PROFILES[len(keys["master_key"])]:
        policy = Policy(profile, keys["master_key"], keys["master_salt"])
        sender, receiver = Session(policy, None, kernels=kernels), Session(None, policy, kernels=kernels)
        sender.set_roc(SSRC, Direction.OUTBOUND, 0x10203)
        receiver.set_roc(SSRC, Direction.INBOUND, 0x10203)
        for sequence_number in (1, 30000, 60000):
            packet = rtp(sequence_number, payload=bytes(range(256)))
            index = 0x10203 << 16 | sequence_number
            counter = int.from_bytes(keys["cipher_salt"]) << 16 ^ SSRC << 64 ^ index << 16
            cipher = Cipher(algorithms.AES(keys["cipher_key"]), modes.CTR(counter.to_bytes(16))).encryptor()
            encrypted = packet[:12] + cipher.update(packet[12:])
            tag = hmac.digest(keys["auth_key"], encrypted + (index >> 16).to_bytes(4), "sha1")
            protected = sender.protect(packet)
            assert protected == encrypted + tag[: profile.rtp_tag_length]
            assert receiver.unprotect(protected) == packet
