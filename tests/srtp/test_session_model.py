"""Sessions against the model of RFC 3711 in tests/support/srtp_model.py, operation by operation."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from rtp_packets import random_rtp, rtcp, rtp
from srtp_model import MAX_ROC, MAX_RTCP_INDEX, Model, Outcome

from srtp import Direction, Policy, Profile, Session, SrtpError, available_kernels

SSRCS = st.sampled_from((1, 0xCAFEBABE))
WINDOWS = st.sampled_from((64, 65, 128, 200, 1024, 32768))
ROCS = st.one_of(st.sampled_from((0, 1, 2, MAX_ROC - 1, MAX_ROC)), st.integers(0, MAX_ROC))
SEEDS = st.integers(0, 1 << 32)
# How far from the highest index a packet lies, with all the edges of windows and of index estimation.
STEPS = st.one_of(
    st.just(1),
    st.integers(-70, 70),
    st.sampled_from(
        [sign * (edge + off) for edge in (128, 200, 1024, 32768, 65536) for off in (-1, 0, 1) for sign in (1, -1)]
    ),
    st.integers(-40000, 70000),
)
COUNTED = {
    "MalformedPacketError": "malformed",
    "AuthenticationError": "authentication_failures",
    "UnknownMkiError": "unknown_mki",
    "ReplayError": "replays",
    "PacketTooOldError": "too_old",
}


class SessionMachine(RuleBasedStateMachine):
    """A session that sends and receives beside a model of each direction; what was sent is kept to be delivered
    in any order, again, or forged."""

    wire = Bundle("wire")
    wire_rtcp = Bundle("wire_rtcp")

    @initialize(
        profile=st.sampled_from(list(Profile)),
        kernels=st.sampled_from(available_kernels()),
        mki=st.sampled_from((b"", b"k", b"key2")),
        rtp_window=WINDOWS,
        rtcp_window=WINDOWS,
        allow_repeat_tx=st.booleans(),
    )
    def start(self, profile, kernels, mki, rtp_window, rtcp_window, allow_repeat_tx):
        policy = Policy(
            profile,
            bytes(range(profile.master_key_length)),
            bytes(range(50, 50 + profile.master_salt_length)),
            mki=mki,
            rtp_window=rtp_window,
            rtcp_window=rtcp_window,
            allow_repeat_tx=allow_repeat_tx,
        )
        self.session = Session(policy, policy, kernels=kernels)
        self.models = {Direction.OUTBOUND: Model(policy), Direction.INBOUND: Model(policy)}
        self.counts = {direction: {"rtp": {}, "rtcp": {}} for direction in Direction}
        self.last = {}

    def run(self, operation: str, direction: Direction, packet: bytes, in_place: bool) -> Outcome:
        """Does the same in session and model and returns what came of it in both."""
        wanted = getattr(self.models[direction], operation)(packet)
        if in_place:
            buffer = bytearray(packet) + bytearray(b"\xa5" * 64)
            try:
                length = getattr(self.session, f"{operation}_into")(buffer, len(packet))
                found: Outcome = bytes(buffer[:length])
            except SrtpError as error:
                found = type(error)
                assert buffer == packet + b"\xa5" * 64
        else:
            try:
                found = getattr(self.session, operation)(packet)
            except SrtpError as error:
                found = type(error)
        assert found == wanted
        counts = self.counts[direction]["rtcp" if operation.endswith("rtcp") else "rtp"]
        outcome = "processed" if isinstance(found, bytes) else COUNTED.get(found.__name__, "refused")
        counts[outcome] = counts.get(outcome, 0) + 1
        return found

    def sequence(self, direction: Direction, ssrc: int, step: int) -> int:
        return self.models[direction].stream(ssrc).rtp.top + step

    @rule(target=wire, ssrc=SSRCS, step=STEPS, seed=SEEDS, in_place=st.booleans())
    def send(self, ssrc, step, seed, in_place):
        packet = random_rtp(random.Random(seed), self.sequence(Direction.OUTBOUND, ssrc, step), ssrc)
        sent = self.run("protect", Direction.OUTBOUND, packet, in_place)
        self.last[ssrc] = packet
        return sent if isinstance(sent, bytes) else multiple()

    @rule(ssrc=SSRCS, change=st.booleans(), in_place=st.booleans())
    def send_again(self, ssrc, change, in_place):
        if ssrc in self.last:
            packet = self.last[ssrc]
            self.run("protect", Direction.OUTBOUND, packet[:-1] if change and len(packet) > 12 else packet, in_place)

    @rule(target=wire, ssrc=SSRCS, step=STEPS, other_cycle=st.sampled_from((0, 0, 0, -1, 1)), length=st.integers(0, 40))
    def seal_elsewhere(self, ssrc, step, other_cycle, length):
        """A packet that a sender with the key made, near what we received last or a cycle away from it."""
        index = self.sequence(Direction.INBOUND, ssrc, step) + (other_cycle << 16)
        index = max(0, min(index, (1 << 48) - 1))
        return self.models[Direction.INBOUND].seal(rtp(index, ssrc=ssrc, payload=bytes(length)), index)

    def receive_at(self, ssrc: int, index: int) -> None:
        if 0 <= index < 1 << 48:
            sealed = self.models[Direction.INBOUND].seal(rtp(index, ssrc=ssrc), index)
            self.run("unprotect", Direction.INBOUND, sealed, False)

    @rule(ssrc=SSRCS, count=st.integers(1, 300), stride=st.integers(1, 3))
    def receive_run(self, ssrc, count, stride):
        """Many packets in order, so that the replay list has gone all round."""
        top = self.models[Direction.INBOUND].stream(ssrc).rtp.top
        for number in range(1, count + 1):
            self.receive_at(ssrc, top + number * stride)

    @rule(ssrc=SSRCS, jump=st.integers(0, 3), behind=st.sampled_from((0, 1, 64, 65, 127, 128, 199, 200, 256)))
    def receive_around_the_top(self, ssrc, jump, behind):
        """A jump ahead, then what it left out, and packets about as old as the window is long."""
        top = self.models[Direction.INBOUND].stream(ssrc).rtp.top + jump
        self.receive_at(ssrc, top)
        for index in (*range(top - 4, top), *range(top - behind - 1, top - behind + 2)):
            self.receive_at(ssrc, index)

    @rule(packet=wire, in_place=st.booleans())
    def deliver(self, packet, in_place):
        self.run("unprotect", Direction.INBOUND, packet, in_place)

    @rule(packet=wire, at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), in_place=st.booleans())
    def deliver_forged(self, packet, at, bit, in_place):
        self.run("unprotect", Direction.INBOUND, flipped(packet, at, bit), in_place)

    @rule(packet=wire, length=st.integers(0, 80), in_place=st.booleans())
    def deliver_truncated(self, packet, length, in_place):
        self.run("unprotect", Direction.INBOUND, packet[:length], in_place)

    @rule(target=wire_rtcp, ssrc=SSRCS, words=st.integers(1, 30), in_place=st.booleans())
    def send_rtcp(self, ssrc, words, in_place):
        return self.run("protect_rtcp", Direction.OUTBOUND, rtcp(ssrc=ssrc, words=words), in_place)

    @rule(target=wire_rtcp, ssrc=SSRCS, step=STEPS, turn_e_flag=st.booleans())
    def seal_rtcp_elsewhere(self, ssrc, step, turn_e_flag):
        model = self.models[Direction.INBOUND]
        index = max(0, min(model.stream(ssrc).rtcp.top + step, MAX_RTCP_INDEX))
        encrypted = model.policy.profile.encrypts is not turn_e_flag
        return model.seal_rtcp(rtcp(ssrc=ssrc), index, encrypted=encrypted)

    @rule(packet=wire_rtcp, in_place=st.booleans())
    def deliver_rtcp(self, packet, in_place):
        self.run("unprotect_rtcp", Direction.INBOUND, packet, in_place)

    @rule(packet=wire_rtcp, at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), in_place=st.booleans())
    def deliver_forged_rtcp(self, packet, at, bit, in_place):
        self.run("unprotect_rtcp", Direction.INBOUND, flipped(packet, at, bit), in_place)

    @rule(ssrc=SSRCS, direction=st.sampled_from(Direction), roc=ROCS)
    def set_roc(self, ssrc, direction, roc):
        wanted = self.models[direction].set_roc(ssrc, roc, sends=direction is Direction.OUTBOUND)
        if wanted is None:
            self.session.set_roc(ssrc, direction, roc)
        else:
            with pytest.raises(wanted):
                self.session.set_roc(ssrc, direction, roc)

    @rule(ssrc=SSRCS, direction=st.sampled_from(Direction), step=st.sampled_from((-1, 0, 1)))
    def set_roc_beside(self, ssrc, direction, step):
        self.set_roc(ssrc, direction, max(0, min(MAX_ROC, self.models[direction].stream(ssrc).roc + step)))

    @rule(ssrc=SSRCS, direction=st.sampled_from(Direction))
    def remove_stream(self, ssrc, direction):
        known = self.models[direction].remove(ssrc, sends=direction is Direction.OUTBOUND)
        assert self.session.remove_stream(ssrc, direction) is known

    @invariant()
    def state_is_the_models(self):
        for direction, model in getattr(self, "models", {}).items():
            state = self.session.state(direction)
            assert [one.ssrc for one in state.streams] == sorted(model.streams)
            for one in state.streams:
                stream = model.streams[one.ssrc]
                assert one.roc == self.session.roc(one.ssrc, direction) == stream.roc
                for found, window in ((one.rtp_replay, stream.rtp), (one.rtcp_replay, stream.rtcp)):
                    assert found.started is window.started
                    assert not found.started or found.top == window.top
            for kind, counters in (("rtp", state.rtp), ("rtcp", state.rtcp)):
                for name in ("processed", *COUNTED.values()):
                    assert getattr(counters, name) == self.counts[direction][kind].get(name, 0), (direction, kind, name)


def flipped(packet: bytes, at: float, bit: int) -> bytes:
    forged = bytearray(packet)
    forged[int(at * len(packet))] ^= 1 << bit
    return bytes(forged)


TestSessionAgainstModel = SessionMachine.TestCase
TestSessionAgainstModel.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from((64, 128, 1024)), st.lists(st.integers(0, 1100), min_size=1, max_size=50, unique=True))
def test_exported_window_has_a_bit_for_every_packet(window, indexes):
    policy = Policy(Profile.NULL_HMAC_SHA1_80, bytes(16), bytes(14), rtp_window=window)
    receiver, model = Session(None, policy), Model(policy)
    for index in indexes:
        packet = model.seal(rtp(index), index)
        if isinstance(model.unprotect(packet), bytes):
            receiver.unprotect(packet)
    stream = model.streams[0xCAFEBABE]
    (found,) = receiver.state(Direction.INBOUND).streams
    assert found.rtp_replay.window == stream.rtp.bits()
