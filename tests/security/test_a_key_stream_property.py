"""No sequence of calls encrypts two packets with one key stream: what was used is told from what was sent."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from key_stream_record import KeyStreamRecord
from rtp_packets import rtcp, rtp

from srtp import (
    Cryptex,
    Direction,
    FanoutTarget,
    MasterKey,
    PacketBatch,
    Policy,
    Profile,
    Session,
    SrtpError,
    protect_fanout,
)

OUT = Direction.OUTBOUND
SEALING_KEY = bytes(32)
# More indexes than any sequence of steps goes on between an export and its import.
GAP = 1 << 24
# Few of each, so that the same ones come together often.
SSRCS = st.sampled_from((7, 7, 7, 0xCAFEBABE))
PLACES = st.sampled_from((None, None, 7, 0xCAFEBABE))
NUMBERS = st.lists(st.sampled_from((0, 1, 2, 3, 64, 300, 32768, 40000, 65535)), min_size=1, max_size=4)
WAYS = st.sampled_from(("single", "in place", "list", "batch", "fan-out"))
KEYS = st.sampled_from((0, 0, 1, 1, 2))
PROFILES = (Profile.AES_CM_128_HMAC_SHA1_80, Profile.AEAD_AES_128_GCM)


def keys_for(profile: Profile, mki_length: int) -> list[MasterKey]:
    salt = profile.master_salt_length
    return [MasterKey(bytes((n + 1,)) * 16, bytes((n + 9,)) * salt, bytes((n + 65,)) * mki_length) for n in range(3)]


def protect(session: Session, way: str, packets: list[bytes]) -> list[bytes | None]:
    """Returns the SRTP packets, None in the place of each that was refused."""
    if way == "list":
        return [one if isinstance(one, bytes) else None for one in session.protect_list(packets)]
    if way == "fan-out":
        # One packet, rewritten for each target to be the one that is wanted.
        found = []
        for packet in packets:
            target = FanoutTarget(
                session, ssrc=int.from_bytes(packet[8:12]), sequence_number=int.from_bytes(packet[2:4])
            )
            found += protect_fanout(rtp(9, ssrc=9, payload=packet[12:]), [target])
        return [one if isinstance(one, bytes) else None for one in found]
    if way == "batch":
        batch = PacketBatch(len(packets), 256)
        for i, packet in enumerate(packets):
            batch.put(i, packet)
        session.protect_batch(batch)
        return [batch.get(i) if batch.statuses[i] == 0 else None for i in range(len(packets))]
    return [one_by_one(session, packet, in_place=way == "in place") for packet in packets]


def one_by_one(session: Session, packet: bytes, *, in_place: bool) -> bytes | None:
    with suppress(SrtpError):
        if not in_place:
            return session.protect(packet)
        buffer = bytearray(packet) + bytearray(64)
        return bytes(buffer[: session.protect_into(buffer, len(packet))])
    return None


class KeyStreams(RuleBasedStateMachine):
    """One sender, over crashes and what changes its keys; every call may be refused, and nothing is used twice."""

    @initialize(profile=st.sampled_from(PROFILES), mki_length=st.sampled_from((0, 2)), with_any=st.booleans())
    def start(self, profile, mki_length, with_any):
        self.keys = keys_for(profile, mki_length)
        self.profile = profile
        self.record = KeyStreamRecord(profile, self.keys)
        self.session = Session(self.policy(0) if with_any else None, None)
        self.sent = 0
        self.saved: bytes | None = None
        self.known: set[tuple[int, int]] = set()

    def policy(self, *numbers: int, **more) -> Policy:
        return Policy.with_keys(self.profile, [self.keys[n] for n in numbers], **more)

    def senders(self) -> set[tuple[int, int]]:
        """Keys and SSRCs that an export knows of: used before, or of a stream that there is."""
        known = {(number, ssrc) for _, number, ssrc, _ in self.record.used}
        for stream in self.streams():
            policy = self.session.policy(OUT, stream.ssrc)
            assert policy is not None
            known |= {(n, stream.ssrc) for n, key in enumerate(self.keys) if key in policy.master_keys}
        return known

    def changed(self) -> None:
        """A policy or a key came: an older export knows nothing of it."""
        self.saved = None

    def packet(self, sequence: int, ssrc: int) -> bytes:
        self.sent += 1
        return rtp(sequence, ssrc=ssrc, payload=self.sent.to_bytes(20))

    def used(self, number: int, ssrc: int) -> None:
        """A sender that an export does not know began after it."""
        if (number, ssrc) not in self.known:
            self.saved = None

    @rule(ssrc=SSRCS, numbers=NUMBERS, way=WAYS)
    def send(self, ssrc, numbers, way):
        packets = [self.packet(number, ssrc) for number in numbers]
        try:
            found = protect(self.session, way, packets)
        except SrtpError:
            return  # no policy at all
        for sealed, plain in zip(found, packets, strict=True):
            if sealed is not None:
                number, _ = self.record.sent(sealed, plain, self.session.roc(ssrc, OUT))
                self.used(number, ssrc)

    @rule(ssrc=SSRCS, count=st.integers(1, 80), way=WAYS)
    def send_on(self, ssrc, count, way):
        """In order, from wherever the sender is."""
        top = next((one.rtp_replay.top for one in self.streams() if one.ssrc == ssrc), 0)
        self.send(ssrc, [(top + n) & 0xFFFF for n in range(1, count + 1)], way)

    def streams(self):
        try:
            return self.session.state(OUT).streams
        except SrtpError:
            return ()

    @rule(ssrc=SSRCS, count=st.integers(1, 4), in_place=st.booleans())
    def send_rtcp(self, ssrc, count, in_place):
        for _ in range(count):
            self.sent += 1
            plain = rtcp(ssrc=ssrc)[:-4] + self.sent.to_bytes(4)
            with suppress(SrtpError):
                if in_place:
                    buffer = bytearray(plain) + bytearray(64)
                    sealed = bytes(buffer[: self.session.protect_rtcp_into(buffer, len(plain))])
                else:
                    sealed = self.session.protect_rtcp(plain)
                number, _ = self.record.sent_rtcp(sealed, plain)
                self.used(number, ssrc)

    @rule(ssrc=SSRCS, key=KEYS)
    def add_policy(self, ssrc, key):
        with suppress(SrtpError):
            self.session.add_policy(ssrc, OUT, self.policy(key))
            self.changed()

    @rule(ssrc=SSRCS, key=KEYS, numbers=NUMBERS, way=WAYS, reports=st.integers(0, 3))
    def short_life(self, ssrc, key, numbers, way, reports):
        """Under a policy of its own, as far as there is none yet."""
        self.add_policy(ssrc, key)
        self.send(ssrc, numbers, way)
        self.send_rtcp(ssrc, reports, False)
        self.remove_stream(ssrc)

    @rule(ssrc=SSRCS)
    def remove_stream(self, ssrc):
        with suppress(SrtpError):
            self.session.remove_stream(ssrc, OUT)

    @rule(ssrc=SSRCS, step=st.integers(-1, 2))
    def set_roc(self, ssrc, step):
        with suppress(SrtpError):
            self.session.set_roc(ssrc, OUT, max(0, (self.session.roc(ssrc, OUT) or 0) + step))

    @rule(place=PLACES, key=KEYS)
    def rekey(self, place, key):
        with suppress(SrtpError):
            self.session.rekey(OUT, self.keys[key], ssrc=place)
            self.changed()

    @rule(place=PLACES, key=KEYS)
    def add_key(self, place, key):
        with suppress(SrtpError):
            self.session.add_key(OUT, self.keys[key], ssrc=place)
            self.changed()

    @rule(place=PLACES, key=KEYS)
    def switch_key(self, place, key):
        with suppress(SrtpError):
            self.session.switch_key(self.keys[key].mki, ssrc=place)

    @rule(place=PLACES, key=KEYS)
    def remove_key(self, place, key):
        with suppress(SrtpError):
            self.session.remove_key(OUT, self.keys[key].mki, ssrc=place)

    @rule(
        place=PLACES, keys=st.permutations((0, 1, 2)), count=st.integers(1, 2), window=st.sampled_from((64, 128, 1024))
    )
    def update_policy(self, place, keys, count, window):
        count = count if self.keys[0].mki else 1
        with suppress(SrtpError):
            self.session.update_policy(OUT, self.policy(*keys[:count], rtp_window=window), ssrc=place)
            self.changed()

    @rule(place=PLACES, window=st.sampled_from((64, 128, 1024)), cryptex=st.sampled_from(list(Cryptex)))
    def update_settings(self, place, window, cryptex):
        before = self.session.policy(OUT, place)
        if before is not None:
            with suppress(SrtpError):
                changed = replace(before, rtp_window=window, cryptex=cryptex)
                self.session.update_policy(OUT, changed, ssrc=place)

    @rule()
    def export(self):
        self.saved = self.session.export_state(SEALING_KEY)
        self.known = self.senders()

    @precondition(lambda self: self.saved is not None)
    @rule()
    def crash(self):
        """Another process goes on from the last export, once."""
        self.session = Session.import_state(self.saved, SEALING_KEY, gap=GAP)
        self.saved = None

    @rule(ssrc=SSRCS, numbers=NUMBERS, way=WAYS, reports=st.integers(0, 2))
    def crash_with_packets_on_their_way(self, ssrc, numbers, way, reports):
        """What went out after the export is not known to the importer, which sends the like."""
        self.export()
        for _ in range(2):
            self.send(ssrc, numbers, way)
            self.send_rtcp(ssrc, reports, False)
            if self.saved is None:
                return
            self.crash()


TestKeyStreams = KeyStreams.TestCase
TestKeyStreams.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("way", ["single", "in place", "list", "batch", "fan-out"])
def test_the_record_sees_what_is_sent(profile, way):
    """The machine would find nothing if nothing went out: every way does, and a second use is seen."""
    keys = keys_for(profile, 0)
    record = KeyStreamRecord(profile, keys)
    for number in (0, 1):
        session = Session(Policy.with_keys(profile, [keys[number]]), None)
        packets = [rtp(n, payload=b"one") for n in (5, 65535, 0)]
        found = protect(session, way, packets)
        for sealed, plain in zip(found, packets, strict=True):
            assert sealed is not None
            record.sent(sealed, plain)
        record.sent_rtcp(session.protect_rtcp(rtcp()), rtcp())
    assert [index for kind, number, _, index in record.used if kind == "RTP" and number == 1] == [5, 65535, 65536]
    again = Session(Policy.with_keys(profile, [keys[0]]), None)
    (sealed,) = protect(again, way, [rtp(5, payload=b"two")])
    assert sealed is not None
    with pytest.raises(AssertionError, match="two RTP packets"):
        record.sent(sealed, rtp(5, payload=b"two"))
    with pytest.raises(AssertionError, match="two RTCP packets"):
        record.sent_rtcp(again.protect_rtcp(rtcp(packet_type=201)), rtcp(packet_type=201))
