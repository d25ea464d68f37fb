"""After fork() a session is its maker's alone, and so are secrets."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable

import numpy as np
import pytest
from rtp_packets import rtcp, rtp

from srtp import (
    Direction,
    FanoutTarget,
    ForkError,
    MasterKey,
    PacketBatch,
    Policy,
    Profile,
    SecretBytes,
    Session,
    protect_fanout,
)

PROFILES = [Profile.AES_CM_128_HMAC_SHA1_80, Profile.F8_128_HMAC_SHA1_80, Profile.AEAD_AES_128_GCM]
OUT, IN = Direction.OUTBOUND, Direction.INBOUND
SEALING_KEY = bytes(range(32))
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork()")


def policy(profile: Profile) -> Policy:
    return Policy(profile, os.urandom(profile.master_key_length), os.urandom(profile.master_salt_length))


def in_child(work: Callable[[], str]) -> str:
    """What `work` returns in a child of fork(); "hangs" when it does not within 20 s."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            os.write(writing, work().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return "hangs" if os.WIFSIGNALED(status) else said


def said_by(work: Callable[[], object]) -> str:
    try:
        return repr(work())
    except Exception as error:
        return type(error).__name__


def batch_of(packet: bytes) -> PacketBatch:
    batch = PacketBatch(1)
    batch.put(0, packet)
    return batch


KEY = MasterKey(bytes(16), bytes(14))
USES: dict[str, Callable[[Session, bytes, bytes], object]] = {
    "protect": lambda session, _srtp, _srtcp: session.protect(rtp(2)),
    "protect_rtcp": lambda session, _srtp, _srtcp: session.protect_rtcp(rtcp()),
    "protect_into": lambda session, _srtp, _srtcp: session.protect_into(bytearray(100), 20),
    "protect_rtcp_into": lambda session, _srtp, _srtcp: session.protect_rtcp_into(bytearray(100), 20),
    "protect_list": lambda session, _srtp, _srtcp: session.protect_list([rtp(2)]),
    "protect_batch": lambda session, _srtp, _srtcp: session.protect_batch(batch_of(rtp(2))),
    "protect_fanout": lambda session, _srtp, _srtcp: protect_fanout(rtp(2), [FanoutTarget(session)]),
    "unprotect": lambda session, srtp, _srtcp: session.unprotect(srtp),
    "unprotect_rtcp": lambda session, _srtp, srtcp: session.unprotect_rtcp(srtcp),
    "unprotect_into": lambda session, srtp, _srtcp: session.unprotect_into(bytearray(srtp), len(srtp)),
    "unprotect_rtcp_into": lambda session, _srtp, srtcp: session.unprotect_rtcp_into(bytearray(srtcp), len(srtcp)),
    "unprotect_list": lambda session, srtp, _srtcp: session.unprotect_list([srtp]),
    "unprotect_batch": lambda session, srtp, _srtcp: session.unprotect_batch(batch_of(srtp)),
    "export_state": lambda session, _srtp, _srtcp: session.export_state(SEALING_KEY),
    "state": lambda session, _srtp, _srtcp: session.state(OUT),
    "roc": lambda session, _srtp, _srtcp: session.roc(0xCAFEBABE, OUT),
    "rtcp_index": lambda session, _srtp, _srtcp: session.rtcp_index(0xCAFEBABE, OUT),
    "set_roc": lambda session, _srtp, _srtcp: session.set_roc(0xCAFEBABE, OUT, 5),
    "remove_stream": lambda session, _srtp, _srtcp: session.remove_stream(0xCAFEBABE, OUT),
    "events": lambda session, _srtp, _srtcp: session.events(),
    "rekey": lambda session, _srtp, _srtcp: session.rekey(OUT, KEY),
    "add_key": lambda session, _srtp, _srtcp: session.add_key(OUT, KEY),
    "remove_key": lambda session, _srtp, _srtcp: session.remove_key(OUT, b"k"),
    "switch_key": lambda session, _srtp, _srtcp: session.switch_key(b"k"),
    "diagnose": lambda session, srtp, _srtcp: session.diagnose(srtp),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("profile", PROFILES)
def test_a_child_is_refused(profile: Profile, use: str) -> None:
    ours, theirs = policy(profile), policy(profile)
    session, other = Session(ours, theirs), Session(theirs, None)
    srtp, srtcp = other.protect(rtp(1)), other.protect_rtcp(rtcp())
    session.protect(rtp(1))
    assert in_child(lambda: said_by(lambda: USES[use](session, srtp, srtcp))) == "ForkError"
    assert session.unprotect(srtp) == rtp(1)
    assert Session(None, ours).unprotect(session.protect(rtp(2))) == rtp(2)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_child_goes_on_by_an_exported_state(profile: Profile) -> None:
    ours = policy(profile)
    session = Session(ours, None)
    session.protect(rtp(1))
    session.protect_rtcp(rtcp())
    sealed = session.export_state(SEALING_KEY)

    def go_on() -> str:
        mine = Session.import_state(sealed, SEALING_KEY, gap=100)
        return f"{mine.protect(rtp(102)).hex()} {mine.protect_rtcp(rtcp()).hex()}"

    srtp, srtcp = (bytes.fromhex(packet) for packet in in_child(go_on).split())
    receiver = Session(None, ours)
    for packet in (srtp, session.protect(rtp(2))):
        assert receiver.unprotect(packet)[:2] == b"\x80\0"
    for packet in (srtcp, session.protect_rtcp(rtcp())):
        assert receiver.unprotect_rtcp(packet) == rtcp()


def test_a_child_makes_sessions_of_its_own() -> None:
    """Of every size of key, while the parent's keys lie in the same pages."""
    kept = [Session(policy(profile), policy(profile)) for profile in Profile for _ in range(20)]

    def make() -> str:
        for profile in Profile:
            for _ in range(50):
                one = policy(profile)
                session, receiver = Session(one, one), Session(None, one)
                assert receiver.unprotect(session.protect(rtp(1))) == rtp(1)
        kept.clear()
        return said_by(lambda: Session(policy(Profile.AEAD_AES_256_GCM), None).protect(rtp(1))[:12])

    assert in_child(make) == repr(rtp(1)[:12])
    assert len(kept) == 20 * len(Profile)
    assert kept[0].protect(rtp(1))[:12] == rtp(1)[:12]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_fork_in_the_middle_of_a_batch_hangs_nobody(profile: Profile) -> None:
    session = Session(policy(profile), None)
    batch = PacketBatch(4096, 1500)
    stop = threading.Event()

    def run() -> None:
        number = 0
        while not stop.is_set():
            for i in range(4096):
                batch.offsets[i : i + 1] = i * 1500
            batch.lengths[:] = 1400
            table = batch.arena.reshape(4096, 1500)
            table[:, 0] = 0x80
            numbers = np.arange(number, number + 4096) & 0xFFFF
            table[:, 2], table[:, 3] = numbers >> 8, numbers & 0xFF
            number += 4096
            session.protect_batch(batch)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        found = {in_child(lambda: said_by(lambda: session.protect(rtp(1)))) for _ in range(13)}
    finally:
        stop.set()
        thread.join()
    assert found == {"ForkError"}


READS: dict[str, Callable[[SecretBytes], object]] = {
    "bytes": bytes,
    "memoryview": lambda secret: bytes(memoryview(secret)),
    "==": lambda secret: secret == secret,
    "!=": lambda secret: secret != SecretBytes(bytes(16)),
    "a policy": lambda secret: Session(Policy(Profile.AEAD_AES_128_GCM, secret, bytes(12)), None),
}


@pytest.mark.parametrize("read", READS)
def test_a_secret_is_not_inherited(read: str) -> None:
    secret = SecretBytes(os.urandom(16))
    assert in_child(lambda: said_by(lambda: READS[read](secret))) == "ForkError"
    assert len(bytes(secret)) == 16


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps"), reason="the system has no /proc/self/smaps")
@pytest.mark.parametrize("length", [1, 16, 32, 4096, 100_000])
def test_secrets_are_in_no_core_dump_and_in_no_child(length: int) -> None:
    secret = SecretBytes(os.urandom(length))
    address = np.frombuffer(secret, np.uint8).ctypes.data
    with open("/proc/self/smaps") as maps:
        found = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) .*?^VmFlags: (.*?)$", maps.read(), re.MULTILINE | re.DOTALL)
    flags = next(flags.split() for begin, end, flags in found if int(begin, 16) <= address < int(end, 16))
    assert {"dd", "wf"} <= set(flags)

    def read() -> str:
        with open("/proc/self/mem", "rb", 0) as memory:
            memory.seek(address)
            return str(any(memory.read(length)))

    assert in_child(read) == "False"


def test_the_errors_say_what_to_do() -> None:
    session = Session(policy(Profile.AEAD_AES_128_GCM), None)

    def words() -> str:
        try:
            session.protect(rtp(1))
        except ForkError as error:
            return str(error)
        return ""

    assert "another process" in in_child(words)
    assert "import" in in_child(words)
