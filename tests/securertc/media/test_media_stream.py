"""One audio stream without sockets: what it sends, what it takes, and what it does not."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from rtp import Goodbye, RtpPacket, SenderReport, SourceDescription, parse_compound
from sdp import Codec, Direction, KeyingResult, KeyingState, NegotiatedAudio
from securertc import SecurityPolicyError, UnsupportedDigitError
from securertc.media.stream import MediaStream
from srtp import Policy, Profile, Session

FRAME = np.arange(160, dtype=np.int16) * 100
OURS, THEIRS, ELSEWHERE = ("192.0.2.1", 4000), ("192.0.2.2", 5000), ("198.51.100.9", 6666)
PROFILE = Profile.AES_CM_128_HMAC_SHA1_80


def policy(seed: int) -> Policy:
    return Policy(PROFILE, bytes([seed]) * 16, bytes([seed]) * 14)


def agreement(*, secured: bool = True, mirrored: bool = False, keys: tuple[int, int] = (1, 2)) -> NegotiatedAudio:
    host, port = OURS if mirrored else THEIRS
    outbound, inbound = (policy(key) for key in (reversed(keys) if mirrored else keys))
    return NegotiatedAudio(
        remote_address=host,
        remote_port=port,
        remote_rtcp_port=port + 1,
        rtcp_mux=True,
        protocol="RTP/SAVP" if secured else "RTP/AVP",
        codec=Codec("PCMU", 8000, 0),
        payload_type=0,
        direction=Direction.SENDRECV,
        ptime=20,
        crypto_suite=PROFILE.name if secured else None,
        outbound=outbound if secured else None,
        inbound=inbound if secured else None,
    )


def streams(**kind) -> tuple[MediaStream, MediaStream]:
    ours = MediaStream(agreement(**kind), 100.0, unix_time=1.7e9)
    return ours, MediaStream(agreement(mirrored=True, **kind), 100.0, unix_time=1.7e9)


def feed(sender: MediaStream, receiver: MediaStream, count: int, *, start: float = 100.0, source=OURS) -> list[bytes]:
    packets = []
    for number in range(count):
        now = start + number * 0.02
        packets.append(sender.audio(FRAME, now).data)
        receiver.receive(packets[-1], source, now, by_rtcp_socket=False)
    return packets


def frames_of(stream: MediaStream) -> int:
    return len(heard_by(stream))


def heard_by(stream: MediaStream) -> list[np.ndarray]:
    frames = []
    while (frame := stream.next_frame()) is not None:
        frames.append(frame)
    return frames


@pytest.fixture(params=[True, False], ids=["srtp", "plain"])
def secured(request) -> bool:
    return request.param


def receiving(*, secured: bool = True) -> tuple[MediaStream, MediaStream]:
    """A sender at OURS and a receiver that was signalled just that."""
    sender = MediaStream(agreement(secured=secured), 100.0, unix_time=1.7e9)
    return sender, MediaStream(agreement(secured=secured, mirrored=True), 100.0, unix_time=1.7e9)


def test_frames_come_out_in_order_and_complete(secured):
    sender, receiver = receiving(secured=secured)
    feed(sender, receiver, 50)
    receiver.poll(102.0)
    assert frames_of(receiver) == 50
    assert receiver.statistics.lost == 0
    assert receiver.statistics.authenticated == (50 if secured else 0)


def test_reordering_is_undone_and_loss_is_silence():
    sender, receiver = receiving()
    packets = [sender.audio(FRAME + 10 * number, 100.0 + number * 0.02).data for number in range(12)]
    for number in (0, 2, 1, 3, 4, 6, 7, 8, 9, 10, 11):
        receiver.receive(packets[number], OURS, 101.0, by_rtcp_socket=False)
    receiver.poll(102.0)
    heard = heard_by(receiver)
    assert len(heard) == 12
    assert not heard[5].any()
    assert [frame[-1] for frame in heard[:5]] == sorted(frame[-1] for frame in heard[:5])
    assert receiver.statistics.lost == 1
    assert receiver.statistics.concealed == 1


def test_forged_packets_change_nothing():
    sender, receiver = receiving()
    good = feed(sender, receiver, 10)
    before = receiver.statistics
    forger = Session(policy(9), None)
    forged = [bytes([byte ^ 0x80 if i == 20 else byte for i, byte in enumerate(packet)]) for packet in good]
    forged += [forger.protect(RtpPacket(0, n, n * 160, 0xBAD, bytes(160)).serialize()) for n in range(50)]
    forged += [RtpPacket(0, n, n * 160, 0xBAD, bytes(160)).serialize() for n in range(50)]
    for packet in forged:
        receiver.receive(packet, ELSEWHERE, 101.0, by_rtcp_socket=False)
    after = receiver.statistics
    assert after.authentication_failures - before.authentication_failures + after.replays == len(forged)
    assert (after.packets_received, after.authenticated, after.jitter) == (10, 10, before.jitter)
    feed(sender, receiver, 10, start=101.0)
    receiver.poll(105.0)
    assert frames_of(receiver) == 20
    assert receiver.audio(FRAME, 101.0).address == OURS


def test_replays_are_dropped_and_counted():
    sender, receiver = receiving()
    for packet in feed(sender, receiver, 10):
        receiver.receive(packet, ELSEWHERE, 101.0, by_rtcp_socket=False)
    receiver.poll(102.0)
    assert receiver.statistics.replays == 10
    assert frames_of(receiver) == 10
    assert receiver.audio(FRAME, 101.0).address == OURS


def test_garbage_of_every_length_is_dropped(secured):
    _, receiver = receiving(secured=secured)
    for length, by_rtcp_socket in itertools.product(range(65), (True, False)):
        for filling in (0x00, 0x80, 0xC8, 0xFF):
            receiver.receive(bytes([filling]) * length, ELSEWHERE, 100.0, by_rtcp_socket=by_rtcp_socket)
    assert receiver.next_frame() is None
    assert receiver.statistics.packets_received == 0


def test_plain_media_is_taken_from_the_signalled_address_only():
    """RTP bleed: who guesses the port is neither heard nor sent to."""
    sender, receiver = receiving(secured=False)
    feed(sender, receiver, 10, source=ELSEWHERE)
    feed(sender, receiver, 10, start=101.0, source=(OURS[0], OURS[1] + 2))
    receiver.poll(103.0)
    assert receiver.next_frame() is None
    assert receiver.statistics.foreign == 20
    assert receiver.audio(FRAME, 101.0).address == OURS


def test_authenticated_media_moves_the_address_once():
    sender, receiver = receiving()
    feed(sender, receiver, 1, source=ELSEWHERE)
    assert receiver.audio(FRAME, 100.0).address == ELSEWHERE
    feed(sender, receiver, 1, start=100.1, source=("203.0.113.3", 7))
    assert receiver.audio(FRAME, 100.1).address == ELSEWHERE


def test_first_sequence_number_leaves_room_before_the_rollover():
    starts = {RtpPacket.parse(streams(secured=False)[0].audio(FRAME, 100.0).data).sequence_number for _ in range(50)}
    assert max(starts) < 1 << 15
    assert len(starts) > 30


def test_every_stream_has_its_own_ssrc_and_cname():
    seen = set()
    for _ in range(5):
        ours, _ = streams(secured=False)
        ours.audio(FRAME, 100.0)
        packets = parse_compound(ours.close(101.0)[0].data)
        chunk = next(packet for packet in packets if isinstance(packet, SourceDescription)).chunks[0]
        seen.add((chunk.ssrc, chunk.cname))
        assert "@" not in chunk.cname
    assert len({ssrc for ssrc, _ in seen}) == len({cname for _, cname in seen}) == 5


def test_rtcp_is_protected_the_goodbye_included():
    ours, theirs = receiving()
    feed(ours, theirs, 5)
    datagrams = ours.poll(110.0) + ours.close(110.1)
    assert len(datagrams) == 2
    receiver = Session(None, policy(1))
    for datagram in datagrams:
        packets = parse_compound(receiver.unprotect_rtcp(datagram.data))
        assert isinstance(packets[0], SenderReport)
        assert packets[1].serialize()[8:] not in datagram.data  # the CNAME does not stand there in clear
    assert isinstance(packets[-1], Goodbye)
    theirs.receive(datagrams[0].data, OURS, 110.0, by_rtcp_socket=False)
    assert theirs.statistics.rtcp_authenticated == 1
    assert not theirs.remote_goodbye
    theirs.receive(datagrams[1].data, OURS, 110.1, by_rtcp_socket=False)
    assert theirs.remote_goodbye


def test_clear_rtcp_is_not_taken_under_srtp():
    sender, receiver = receiving()
    feed(sender, receiver, 5)
    plain = MediaStream(agreement(secured=False), 100.0, unix_time=1.7e9)
    plain.audio(FRAME, 100.0)
    receiver.receive(plain.close(101.0)[0].data, OURS, 101.0, by_rtcp_socket=False)
    assert receiver.statistics.rtcp_received == 0
    assert not receiver.remote_goodbye


def test_a_pause_moves_the_timestamp_and_sets_the_marker():
    ours, _ = streams(secured=False)
    first = RtpPacket.parse(ours.audio(FRAME, 100.0).data)
    second = RtpPacket.parse(ours.audio(FRAME, 100.02).data)
    later = RtpPacket.parse(ours.audio(FRAME, 102.04).data)
    assert (first.marker, second.marker, later.marker) == (True, False, True)
    assert (second.timestamp - first.timestamp) % (1 << 32) == 160
    assert (later.timestamp - second.timestamp) % (1 << 32) == 160 + 16000
    assert (later.sequence_number - first.sequence_number) % (1 << 16) == 2


@pytest.mark.parametrize("nowhere", ["0.0.0.0", "::"])
def test_nothing_goes_to_a_peer_that_took_its_address_back(nowhere):
    """Sent to 0.0.0.0 it would come to whatever listens on this machine."""
    ours, _ = streams()
    ours.audio(FRAME, 100.0)
    ours.renegotiate(replace(agreement(), remote_address=nowhere, direction=Direction.INACTIVE), 101.0)
    assert ours.audio(FRAME, 101.0) is None
    assert [sent for second in range(101, 160) for sent in ours.poll(float(second))] == []
    assert ours.close(160.0) == []
    ours, _ = streams()
    ours.audio(FRAME, 100.0)
    ours.renegotiate(replace(agreement(), remote_address=nowhere, direction=Direction.INACTIVE), 101.0)
    ours.renegotiate(agreement(), 102.0)
    assert ours.audio(FRAME, 102.0).address == THEIRS
    assert [sent.address for sent in ours.close(103.0)] == [THEIRS]


def test_a_new_key_keeps_the_stream_and_takes_stragglers():
    sender, receiver = receiving()
    packets = feed(sender, receiver, 5)
    straggler = sender.audio(FRAME, 100.1).data
    ssrc = sender.ssrc
    sender.renegotiate(agreement(keys=(5, 6)), 100.2)
    receiver.renegotiate(agreement(mirrored=True, keys=(5, 6)), 100.2)
    receiver.receive(straggler, OURS, 100.2, by_rtcp_socket=False)
    feed(sender, receiver, 5, start=100.2)
    assert sender.ssrc == ssrc
    assert receiver.statistics.authenticated == 11
    assert receiver.statistics.authentication_failures == 0
    receiver.receive(packets[0], OURS, 106.0, by_rtcp_socket=False)
    assert receiver.statistics.authentication_failures == 1


def test_the_same_keys_keep_their_state():
    sender, receiver = receiving()
    packets = feed(sender, receiver, 5)
    sender.renegotiate(replace(agreement(), direction=Direction.RECVONLY), 100.2)
    receiver.renegotiate(agreement(mirrored=True), 100.2)
    assert sender.audio(FRAME, 100.2) is None
    sender.renegotiate(agreement(), 100.3)
    feed(sender, receiver, 5, start=100.3)
    receiver.receive(packets[0], OURS, 100.5, by_rtcp_socket=False)
    assert receiver.statistics.replays == 1
    assert receiver.statistics.authenticated == 10


def test_protection_does_not_end():
    ours, _ = streams()
    with pytest.raises(SecurityPolicyError, match="in clear"):
        ours.renegotiate(agreement(secured=False), 101.0)
    assert ours.agreed.secured


def test_reports_tell_loss_and_round_trip():
    ours, theirs = receiving()
    packets = [ours.audio(FRAME, 100.0 + number * 0.02).data for number in range(40)]
    for packet in packets[:20] + packets[30:]:
        theirs.receive(packet, OURS, 100.8, by_rtcp_socket=False)
    (report,) = ours.poll(110.0)
    theirs.receive(report.data, OURS, 110.05, by_rtcp_socket=False)
    theirs.audio(FRAME, 110.1)
    (answer,) = theirs.poll(120.0)
    ours.receive(answer.data, THEIRS, 120.05, by_rtcp_socket=False)
    assert ours.statistics.remote_loss == pytest.approx(0.25, abs=0.01)
    assert ours.statistics.round_trip == pytest.approx(0.1, abs=0.01)


def test_an_unread_stream_keeps_ten_seconds():
    sender, receiver = receiving()
    feed(sender, receiver, 700)
    assert frames_of(receiver) == 500
    assert receiver.statistics.overflowed > 100


def test_other_payload_types_and_our_own_packets_are_not_played():
    sender, receiver = receiving(secured=False)
    feed(sender, receiver, 3)
    own = receiver.audio(FRAME, 100.0).data
    receiver.receive(own, OURS, 100.1, by_rtcp_socket=False)
    assert receiver.statistics.unexpected == 1
    assert receiver.statistics.packets_received == 3


def test_nothing_starts_while_the_keys_are_still_to_come():
    """As with DTLS-SRTP: agreed, but the handshake is not over."""
    pending = KeyingResult(method="dtls-srtp", state=KeyingState.PENDING)
    waiting = replace(agreement(secured=False), keying=pending)
    assert waiting.secured
    with pytest.raises(SecurityPolicyError, match="keys"):
        MediaStream(waiting, 100.0, unix_time=1.7e9)
    stream, _ = streams()
    with pytest.raises(SecurityPolicyError, match="keys"):
        stream.renegotiate(waiting, 101.0)
    assert stream.agreed == agreement()
    done = pending.with_policies(policy(1), policy(2), PROFILE.name)
    assert (done.state, done.secured) == (KeyingState.KEYED, True)
    for wrong in (
        lambda: KeyingResult(method="none", state=KeyingState.PLAIN).with_policies(policy(1), policy(2), None),
        lambda: KeyingResult(method="sdescriptions", state=KeyingState.KEYED, outbound=policy(1)),
        lambda: KeyingResult(method="none", state=KeyingState.PLAIN, inbound=policy(1)),
    ):
        with pytest.raises(ValueError, match=r"keys|policies"):
            wrong()


def test_the_answerers_own_payload_type_and_rtcp_address():
    ours, theirs = streams()
    theirs.renegotiate(replace(theirs.agreed, payload_type=96, receive_payload_type=0), 100.0)
    feed(ours, theirs, 20)
    assert theirs.statistics.unexpected == 0
    assert RtpPacket.parse(Session(None, policy(2)).unprotect(theirs.audio(FRAME, 100.0).data)).payload_type == 96
    apart = replace(agreement(), rtcp_mux=False, remote_rtcp_address="192.0.2.77", remote_rtcp_port=5011)
    stream = MediaStream(apart, 100.0, unix_time=1.7e9)
    assert [datagram.address for datagram in stream.poll(110.0)] == [("192.0.2.77", 5011)]


def digit_streams() -> tuple[MediaStream, MediaStream]:
    ours, theirs = streams()
    ours.renegotiate(replace(ours.agreed, telephone_event_payload_type=101), 100.0)
    theirs.renegotiate(replace(theirs.agreed, receive_telephone_event=101), 100.0)
    return ours, theirs


@pytest.mark.parametrize("lost", [(), (0,), (1, 2, 3), (5, 6), (0, 4, 5)])
def test_digits_among_audio_survive_loss(lost):
    ours, theirs = digit_streams()
    feed(ours, theirs, 10)
    now = 100.2
    for digit in "1#1":
        packets = ours.begin_digit(digit, 100, now)
        assert len(packets) == 7
        for number, packet in enumerate(packets):
            data = ours.digit(packet).data
            if number not in lost:
                theirs.receive(data, OURS, now + packet.due / 8000, by_rtcp_socket=False)
        now += packets[-1].due / 8000 + 0.02
        feed(ours, theirs, 5, start=now)
        now += 0.1
    theirs.poll(now + 1)
    assert [theirs.next_digit() for _ in range(4)] == ["1", "#", "1", None]
    assert theirs.statistics.malformed == theirs.statistics.unexpected == 0


def test_timestamps_go_on_behind_a_digit():
    ours, _ = digit_streams()
    key = Session(None, policy(1))

    def sent(data):
        return RtpPacket.parse(key.unprotect(data))

    before = sent(ours.audio(FRAME, 100.0).data)
    packets = ours.begin_digit("5", 100, 100.02)
    reports = [sent(ours.digit(packet).data) for packet in packets]
    after = sent(ours.audio(FRAME, 100.02 + packets[-1].due / 8000).data)
    assert {report.timestamp for report in reports} == {(before.timestamp + 160) & 0xFFFFFFFF}
    assert [report.marker for report in reports] == [True] + [False] * 6
    assert {report.payload_type for report in reports} == {101}
    assert after.timestamp == (before.timestamp + 160 + packets[-1].due) & 0xFFFFFFFF
    assert not after.marker
    numbers = [packet.sequence_number for packet in (before, *reports, after)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_digits_that_cannot_be_sent_or_read():
    ours, theirs = digit_streams()
    for wrong in ("x", "", "12"):
        with pytest.raises(UnsupportedDigitError):
            ours.begin_digit(wrong, 100, 100.0)
    with pytest.raises(UnsupportedDigitError):
        theirs.begin_digit("1", 100, 100.0)
    packets = ours.begin_digit("1", 100, 100.0)
    ours.renegotiate(replace(ours.agreed, direction=Direction.RECVONLY), 100.0)
    assert ours.begin_digit("1", 100, 100.0) == []
    assert ours.digit(packets[0]) is None
    bad = RtpPacket(101, 7, 160, 0xBEEF, b"\1\2\3").serialize()
    theirs.receive(Session(policy(1), None).protect(bad), OURS, 100.0, by_rtcp_socket=False)
    theirs.poll(101.0)
    assert theirs.next_digit() is None
    assert theirs.statistics.malformed == 1
