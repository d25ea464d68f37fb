"""No copy of a master key that our code made stays in memory: found by a scan of all of it, which finds a planted
one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from srtp import Direction, Policy, Profile, Session, StateError, available_kernels

SUPPORT = Path(__file__).parents[1] / "support"
pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="the system has no /proc/self/mem")

PROGRAM = """
import gc, sys
from memory_scan import copies, fresh_secret, inverted, inverted_hex, wipe
from srtp import *

kind, profile = sys.argv[1], Profile[sys.argv[2]]
key, salt = fresh_secret(profile.master_key_length), fresh_secret(profile.master_salt_length)
wanted = [way(secret) for secret in (key, salt) for way in (inverted, inverted_hex)]
packet = b"\\x80\\0\\0\\1" + bytes(8) + b"payload"
report = b"\\x80\\xc8\\0\\1" + bytes(4)

def session_of(**more):
    policy = Policy(profile, key, salt, **more)
    session = Session(policy, policy)
    session.protect(packet)
    session.protect_rtcp(report)
    return session

def live():
    kept = session_of()
    return copies(wanted[:1]) > 0

def use():
    session_of()
    session_of(key_derivation_rate=1)
    repr(session_of().outbound_policy)

def export():
    for _ in range(3):
        session_of().export_state(bytes(32))

def restore():
    for _ in range(3):
        state = session_of().export_state(bytes(32))
        restored = Session.import_state(state, bytes(32))
        restored.export_state(bytes(32))
    for damaged in (state[:-1], state[:-1] + bytes([state[-1] ^ 1])):
        try:
            Session.import_state(damaged, bytes(32))
        except StateError:
            pass

def change():
    session = session_of(mki=b"1")
    session.add_key(Direction.OUTBOUND, MasterKey(key, salt, b"2"))
    session.switch_key(b"2")
    session.remove_key(Direction.OUTBOUND, b"1")
    again = session_of()
    again.rekey(Direction.OUTBOUND, MasterKey(key, salt))
    again.rekey(Direction.INBOUND, MasterKey(key, salt), overlap=5)
    again.export_state(bytes(32))
    session.add_policy(9, Direction.INBOUND, Policy(profile, key, salt))
    session.remove_stream(9, Direction.INBOUND)

def diagnose():
    session_of().diagnose(packet)
    session_of().diagnose(report, rtcp=True)

def planted():
    global plant
    plant = bytes(byte ^ 0xff for byte in wanted[0])

seen_alive = live()
{"use": use, "export": export, "import": restore, "change": change, "diagnose": diagnose, "planted": planted}[kind]()
wipe(key), wipe(salt)
gc.collect()
print(seen_alive, copies(wanted))
"""


def scanned(kind: str, profile: Profile, kernels: str) -> list[str]:
    environment = {**os.environ, "SRTP_KERNELS": kernels}
    environment["PYTHONPATH"] = os.pathsep.join([str(SUPPORT), *filter(None, sys.path)])
    command = [sys.executable, "-c", PROGRAM, kind, profile.name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("kind", ["use", "export", "import", "change", "diagnose"])
@pytest.mark.parametrize(
    "profile", [Profile.AES_CM_128_HMAC_SHA1_80, Profile.F8_128_HMAC_SHA1_80, Profile.AEAD_AES_256_GCM]
)
def test_no_master_key_stays_in_memory(kind: str, profile: Profile) -> None:
    assert scanned(kind, profile, available_kernels()[0]) == ["True", "0"]


@pytest.mark.parametrize("kernels", available_kernels())
def test_no_kernel_leaves_one_on_the_stack(kernels: str) -> None:
    assert scanned("import", Profile.AES_CM_128_HMAC_SHA1_80, kernels) == ["True", "0"]
    assert scanned("import", Profile.AEAD_AES_128_GCM, kernels) == ["True", "0"]


def test_the_scan_finds_a_planted_one() -> None:
    found = scanned("planted", Profile.AES_CM_128_HMAC_SHA1_80, "portable")
    assert found[0] == "True"
    assert int(found[1]) >= 1


@pytest.mark.parametrize("streams", [0, 1, 20_000], ids=str)
def test_the_seal_is_aes_256_gcm(streams: int) -> None:
    """Of any length, by another implementation."""
    key = os.urandom(32)
    session = Session(None, Policy(Profile.AEAD_AES_128_GCM, bytes(range(16)), bytes(12)))
    for ssrc in range(streams):
        session.set_roc(ssrc, Direction.INBOUND, 5)
    sealed = session.export_state(key)
    header = sealed[:27]
    opened = AESGCM(key).decrypt(header[-12:], sealed[27:], header)
    assert opened.endswith(bytes(range(16)) + bytes(12))
    resealed = header + AESGCM(key).encrypt(header[-12:], opened, header)
    assert resealed == sealed
    assert len(Session.import_state(resealed, key).state(Direction.INBOUND).streams) == streams


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_sealing_key_of_another_length_is_named(length: int) -> None:
    session = Session(None, Policy(Profile.AEAD_AES_128_GCM, bytes(16), bytes(12)))
    sealed = session.export_state(bytes(32))
    with pytest.raises(StateError, match=f"{length} bytes"):
        session.export_state(bytes(length))
    with pytest.raises(StateError, match=f"{length} bytes"):
        Session.import_state(sealed, bytes(length))


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_what_is_cut_is_no_state(cut: int) -> None:
    sealed = Session(None, Policy(Profile.AEAD_AES_128_GCM, bytes(16), bytes(12))).export_state(bytes(32))
    for damaged in (sealed[:cut], sealed[:-cut]):
        with pytest.raises(StateError):
            Session.import_state(damaged, bytes(32))
