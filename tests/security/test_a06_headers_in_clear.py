"""No header leaves in clear where a policy hides it, and none that Cryptex marked is read without Cryptex (RFC 9335,
RFC 6904)."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from srtp import (
    Cryptex,
    Direction,
    FanoutTarget,
    PacketBatch,
    PacketStatus,
    Policy,
    Profile,
    Session,
    UnencryptedPacketError,
    UnexpectedCryptexError,
    protect_fanout,
)

SSRC = 0x1234
PROFILES = [profile for profile in Profile if profile.encrypts]
MARKS = (0xC0DE, 0xC2DE)
Way = Callable[[Session, bytes], object]


def policy(profile: Profile, cryptex: Cryptex = Cryptex.OFF, hidden: frozenset[int] = frozenset()) -> Policy:
    key, salt = bytes(range(profile.master_key_length)), bytes(profile.master_salt_length)
    return Policy(profile, key, salt, cryptex=cryptex, encrypted_extensions=hidden)


def packet(defined_by_profile: int, elements: bytes = b"\x10A\0\0", *, csrcs: int = 1) -> bytes:
    header = struct.pack("!BBHII", 0x90 | csrcs, 0, 7, 0, SSRC) + b"CSRC" * csrcs
    return header + struct.pack("!HH", defined_by_profile, len(elements) // 4) + elements + b"payload"


def in_batch(session: Session, data: bytes, *, sends: bool) -> object:
    batch = PacketBatch(1)
    batch.put(0, data)
    (session.protect_batch if sends else session.unprotect_batch)(batch)
    status = PacketStatus(batch.statuses[0])
    return batch.get(0) if status is PacketStatus.OK else status


def in_place(session: Session, data: bytes, *, sends: bool) -> object:
    buffer = bytearray(data + bytes(64))
    length = (session.protect_into if sends else session.unprotect_into)(buffer, len(data))
    return bytes(buffer[:length])


SENDING: dict[str, Way] = {
    "single": Session.protect,
    "into": lambda session, data: in_place(session, data, sends=True),
    "list": lambda session, data: session.protect_list([data])[0],
    "batch": lambda session, data: in_batch(session, data, sends=True),
    "fan-out": lambda session, data: protect_fanout(data, [FanoutTarget(session)])[0],
}
RECEIVING: dict[str, Way] = {
    "single": Session.unprotect,
    "into": lambda session, data: in_place(session, data, sends=False),
    "list": lambda session, data: session.unprotect_list([data])[0],
    "batch": lambda session, data: in_batch(session, data, sends=False),
}


def refused(way: Way, session: Session, data: bytes, error: type[Exception], status: PacketStatus) -> None:
    try:
        found = way(session, data)
    except error:
        return
    assert found is status


@pytest.fixture(params=SENDING.values(), ids=SENDING)
def send(request: pytest.FixtureRequest) -> Way:
    way: Way = request.param
    return way


@pytest.fixture(params=RECEIVING.values(), ids=RECEIVING)
def receive(request: pytest.FixtureRequest) -> Way:
    way: Way = request.param
    return way


@pytest.mark.parametrize("defined_by_profile", [0xBEDE, 0x1000])
@pytest.mark.parametrize("profile", PROFILES)
def test_what_cryptex_encrypted_is_refused_by_name_without_cryptex(
    profile: Profile, defined_by_profile: int, receive: Way
) -> None:
    sent = Session(policy(profile, Cryptex.REQUIRED), None).protect(packet(defined_by_profile))
    receiver = Session(None, policy(profile))
    refused(receive, receiver, sent, UnexpectedCryptexError, PacketStatus.UNEXPECTED_CRYPTEX)
    assert not receiver.state(Direction.INBOUND).streams
    assert Session(None, policy(profile, Cryptex.ON)).unprotect(sent) == packet(defined_by_profile)


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("cryptex", Cryptex)
@pytest.mark.parametrize("profile", PROFILES)
def test_a_packet_marked_already_is_not_sent(profile: Profile, cryptex: Cryptex, mark: int, send: Way) -> None:
    sender = Session(policy(profile, cryptex), None)
    refused(send, sender, packet(mark), UnexpectedCryptexError, PacketStatus.UNEXPECTED_CRYPTEX)
    assert not sender.state(Direction.OUTBOUND).streams


@pytest.mark.parametrize("defined_by_profile", [0x1003, 0x100F, 0x0000, 0x4242, 0xBEDF])
@pytest.mark.parametrize("cryptex", [Cryptex.ON, Cryptex.REQUIRED])
@pytest.mark.parametrize("profile", PROFILES)
def test_cryptex_sends_no_extension_that_it_cannot_hide(
    profile: Profile, cryptex: Cryptex, defined_by_profile: int, send: Way
) -> None:
    sender = Session(policy(profile, cryptex), None)
    refused(send, sender, packet(defined_by_profile), UnencryptedPacketError, PacketStatus.UNENCRYPTED)
    protected = Session(policy(profile, cryptex), None).protect(packet(0xBEDE))
    assert b"CSRC" not in protected


UNSOUND = {
    "one byte, overruns": (0xBEDE, b"\x10A\x17B"),
    "one byte, overruns by one": (0xBEDE, b"\x13ABC"),
    "one byte, behind the reserved ID": (0xBEDE, b"\xf0A\x10B"),
    "one byte, behind padding with a length": (0xBEDE, b"\x01A\x10B"),
    "one byte, another that is not hidden": (0xBEDE, b"\x10A\x2fB"),
    "two bytes, overruns": (0x1000, b"\x01\x03AB"),
    "two bytes, without a length": (0x1000, b"\x02\x01A\x01"),
    "two bytes, with appbits": (0x1005, b"\x01\xffAB"),
}


@pytest.mark.parametrize(("defined_by_profile", "elements"), UNSOUND.values(), ids=UNSOUND)
@pytest.mark.parametrize("profile", PROFILES)
def test_an_extension_whose_elements_cannot_be_told_is_not_sent(
    profile: Profile, defined_by_profile: int, elements: bytes, send: Way
) -> None:
    sender = Session(policy(profile, hidden=frozenset({1})), None)
    unsound = packet(defined_by_profile, elements)
    refused(send, sender, unsound, UnencryptedPacketError, PacketStatus.UNENCRYPTED)
    receiver = Session(None, policy(profile, hidden=frozenset({1})))
    assert len(receiver.unprotect(Session(policy(profile), None).protect(unsound))) == len(unsound)


SOUND = [
    (0xBEDE, b"\0\0\0\0"),
    (0xBEDE, b""),
    (0xBEDE, b"\x13abcd\0\0\0"),
    (0x1000, b"\x01\x02ab"),
    (0x1000, b"\x01\0\0\0"),
]


@pytest.mark.parametrize(("defined_by_profile", "elements"), SOUND)
@pytest.mark.parametrize("profile", PROFILES)
def test_a_sound_extension_is_sent(profile: Profile, defined_by_profile: int, elements: bytes, send: Way) -> None:
    one = policy(profile, hidden=frozenset({1}))
    protected = send(Session(one, None), packet(defined_by_profile, elements))
    assert isinstance(protected, bytes)
    assert Session(None, one).unprotect(protected) == packet(defined_by_profile, elements)
    assert b"ab" not in protected[20:24]
