"""Copies of authentic packets draw media elsewhere for a moment at most: where the stream goes on is what counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from rtp import ReceiverReport, SourceDescription, serialize_compound
from sdp import Codec, Direction, NegotiatedAudio
from securertc.media.stream import MediaStream
from srtp import Policy, Profile, Session

FRAME = np.arange(160, dtype=np.int16) * 100
SIGNALLED, RTCP_SIGNALLED = ("192.0.2.1", 4000), ("192.0.2.1", 4001)
MAPPED, STRANGER, OTHER = ("203.0.113.5", 777), ("198.51.100.66", 6666), ("203.0.113.9", 9)
PROFILES = [Profile.AES_CM_128_HMAC_SHA1_80, Profile.AEAD_AES_128_GCM]


@dataclass
class Stage:
    """A receiver, and a source of packets of the peer's: `packet()` makes the next, `take()` has it come from there."""

    receiver: MediaStream
    packet: Callable[[], bytes]
    rtcp: bool

    def take(self, data: bytes, source: tuple[str, int]) -> None:
        self.receiver.receive(data, source, 100.0, by_rtcp_socket=self.rtcp)

    @property
    def destination(self) -> tuple[str, int]:
        if self.rtcp:
            (datagram,) = self.receiver.close(101.0)
            return datagram.address
        datagram = self.receiver.audio(FRAME, 100.0)
        assert datagram is not None
        return datagram.address

    @property
    def signalled(self) -> tuple[str, int]:
        return RTCP_SIGNALLED if self.rtcp else SIGNALLED


def policy(profile: Profile, seed: int) -> Policy:
    return Policy(profile, bytes([seed]) * profile.master_key_length, bytes([seed]) * profile.master_salt_length)


def agreement(profile: Profile, *, rtcp_mux: bool) -> NegotiatedAudio:
    return NegotiatedAudio(
        remote_address=SIGNALLED[0],
        remote_port=SIGNALLED[1],
        remote_rtcp_port=RTCP_SIGNALLED[1],
        rtcp_mux=rtcp_mux,
        protocol="RTP/SAVP",
        codec=Codec("PCMU", 8000, 0),
        payload_type=0,
        direction=Direction.SENDRECV,
        ptime=20,
        crypto_suite=profile.name,
        outbound=policy(profile, 2),
        inbound=policy(profile, 1),
    )


def stage_of(profile: Profile, *, rtcp: bool, proven: bool = False) -> Stage:
    kind = {"proven": True} if proven else {}
    receiver = MediaStream(agreement(profile, rtcp_mux=not rtcp), 100.0, unix_time=1.7e9, **kind)
    theirs = Session(policy(profile, 1), None)
    peer = MediaStream(replace(agreement(profile, rtcp_mux=True), outbound=policy(profile, 1)), 100.0, unix_time=1.7e9)

    def rtp_packet() -> bytes:
        datagram = peer.audio(FRAME, 100.0)
        assert datagram is not None
        return datagram.data

    def rtcp_packet() -> bytes:
        compound = [ReceiverReport(0xBEEF, ()), SourceDescription.with_cname(0xBEEF, "peer")]
        return theirs.protect_rtcp(serialize_compound(compound))

    receiver.audio(FRAME, 100.0)  # so that there is a BYE to say
    return Stage(receiver, rtcp_packet if rtcp else rtp_packet, rtcp)


@pytest.fixture(params=["rtp", "rtcp"])
def rtcp(request: pytest.FixtureRequest) -> bool:
    return request.param == "rtcp"


@pytest.fixture(params=PROFILES, ids=lambda profile: profile.name)
def stage(request: pytest.FixtureRequest, rtcp: bool) -> Stage:
    return stage_of(request.param, rtcp=rtcp)


@pytest.mark.parametrize("outrun", [1, 2, 3, 10])
def test_the_signalled_address_wins_back(stage: Stage, outrun: int) -> None:
    for _ in range(outrun):
        copy = stage.packet()
        stage.take(copy, STRANGER)
        stage.take(copy, stage.signalled)  # a replay by now
    stage.take(stage.packet(), stage.signalled)
    assert stage.destination == stage.signalled


@pytest.mark.parametrize("outrun", [1, 2, 3, 10])
def test_the_usual_address_wins_back(stage: Stage, outrun: int) -> None:
    """The peer is behind a NAT: where it is has never been signalled."""
    for _ in range(outrun):
        copy = stage.packet()
        stage.take(copy, STRANGER)
        stage.take(copy, MAPPED)
    for _ in range(3):
        stage.take(stage.packet(), MAPPED)
    assert stage.destination == MAPPED


def test_single_copies_later_take_nothing(stage: Stage) -> None:
    """Every third packet is outrun, and of the others each comes as it should."""
    for number in range(60):
        packet = stage.packet()
        if number and number % 3 == 0:
            stage.take(packet, STRANGER)
        stage.take(packet, MAPPED)
        assert number < 1 or stage.rtcp or stage.destination == MAPPED
    assert stage.destination == MAPPED


def test_who_moves_is_followed(stage: Stage) -> None:
    """A NAT that maps anew in the middle of a call."""
    for _ in range(5):
        stage.take(stage.packet(), MAPPED)
    for _ in range(3):
        stage.take(stage.packet(), OTHER)
    assert stage.destination == OTHER


def test_the_first_packet_finds_a_peer_behind_a_nat(stage: Stage) -> None:
    stage.take(stage.packet(), MAPPED)
    assert stage.destination == MAPPED


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_packets_held_back_move_nothing(profile: Profile) -> None:
    """They authenticate and have not been there before, but the stream is further."""
    stage = stage_of(profile, rtcp=False)
    held = [stage.packet() for _ in range(6)]
    for _ in range(5):
        stage.take(stage.packet(), MAPPED)
    for packet in held:
        stage.take(packet, STRANGER)
    assert stage.receiver.statistics.authenticated == 11
    assert stage.destination == MAPPED


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_stragglers_under_a_former_key_move_nothing(profile: Profile) -> None:
    stage = stage_of(profile, rtcp=False)
    stage.take(stage.packet(), MAPPED)
    late = [stage.packet() for _ in range(6)]
    stage.receiver.renegotiate(replace(stage.receiver.agreed, inbound=policy(profile, 9)), 100.0)
    for packet in late:
        stage.take(packet, STRANGER)
    assert stage.receiver.statistics.authenticated == 7
    assert stage.destination == MAPPED


@pytest.mark.parametrize("rtcp", [False, True], ids=["rtp", "rtcp"])
def test_an_address_that_ice_found_stays(rtcp: bool) -> None:
    stage = stage_of(PROFILES[0], rtcp=rtcp, proven=True)
    for _ in range(10):
        stage.take(stage.packet(), STRANGER)
    assert stage.destination == stage.signalled


@pytest.mark.parametrize("rtcp", [False, True], ids=["rtp", "rtcp"])
def test_what_does_not_authenticate_moves_nothing(rtcp: bool) -> None:
    stage = stage_of(PROFILES[0], rtcp=rtcp)
    for _ in range(10):
        packet = stage.packet()
        stage.take(packet[:-1] + bytes([packet[-1] ^ 1]), STRANGER)
    assert stage.destination == stage.signalled
