"""Threads on one pair of sessions: packets of all kinds of calls, while keys come and go and others look on.

Every packet must come out as it went in, and the counters must add up. tests/srtp/test_core_native.py has the same
of the core under ThreadSanitizer.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pytest
from rtp_packets import rtcp, rtp

from srtp import (
    Direction,
    FanoutTarget,
    MasterKey,
    PacketBatch,
    Policy,
    Profile,
    Session,
    protect_fanout,
)

OUT, IN = Direction.OUTBOUND, Direction.INBOUND
AES = Profile.AES_CM_128_HMAC_SHA1_80
SENDERS, ROUNDS, PACKETS, CHANGES = 4, 200, 21, 20
SEALING_KEY = bytes(32)


def key(number: int, mki: bytes = b"") -> MasterKey:
    return MasterKey(number.to_bytes(16), number.to_bytes(14), mki)


class Traffic:
    """Senders of an SSRC each; how often each has exchanged packets tells that none of an earlier key is on its way."""

    def __init__(self, policy: Policy) -> None:
        self.sender, self.receiver = Session(policy, None), Session(None, policy)
        self.exchanges = [0] * SENDERS
        self.errors: list[BaseException] = []
        self.running = SENDERS
        self.changes_to_come = 0

    def exchange(self, number: int) -> None:
        rng = random.Random(number)
        batch = PacketBatch(PACKETS, 400)
        round_ = 0
        while round_ < ROUNDS or (self.changes_to_come and not self.errors):
            plain = [rtp(PACKETS * round_ + i, ssrc=number, payload=rng.randbytes(i * 9)) for i in range(PACKETS)]
            assert (self._in_batch, self._in_lists, self._alone, self._in_place)[round_ % 4](plain, batch) == plain
            report = rtcp(ssrc=number)
            assert self.receiver.unprotect_rtcp(self.sender.protect_rtcp(report)) == report
            round_ += 1
            self.exchanges[number] = round_
        self.running -= 1

    def _in_batch(self, plain: list[bytes], batch: PacketBatch) -> list[bytes]:
        for i, packet in enumerate(plain):
            batch.put(i, packet)
        assert self.sender.protect_batch(batch) == self.receiver.unprotect_batch(batch) == len(plain)
        return [batch.get(i) for i in range(len(plain))]

    def _in_lists(self, plain: list[bytes], _: PacketBatch) -> list[object]:
        return self.receiver.unprotect_list(self.sender.protect_list(plain))

    def _alone(self, plain: list[bytes], _: PacketBatch) -> list[object]:
        fanned = [protect_fanout(packet, [FanoutTarget(self.sender)])[0] for packet in plain[:5]]
        return [self.receiver.unprotect(packet) for packet in (*fanned, *map(self.sender.protect, plain[5:]))]

    def _in_place(self, plain: list[bytes], _: PacketBatch) -> list[bytes]:
        out = []
        for packet in plain:
            buffer = bytearray(packet + bytes(40))
            length = self.receiver.unprotect_into(buffer, self.sender.protect_into(buffer, len(packet)))
            out.append(bytes(buffer[:length]))
        return out

    def wait_for_all(self) -> None:
        """Until nothing that was protected before is still to be unprotected."""
        before = list(self.exchanges)
        while self.running == SENDERS and any(now < then + 2 for now, then in zip(self.exchanges, before, strict=True)):
            time.sleep(0.0005)

    def run(self, *others: Callable[[], None]) -> None:
        start = threading.Barrier(SENDERS + len(others))

        def guarded(work: Callable[[], None]) -> None:
            try:
                start.wait()
                work()
            except BaseException as error:
                self.errors.append(error)
                self.running = self.changes_to_come = 0

        works = [lambda n=n: self.exchange(n) for n in range(SENDERS)]
        threads = [threading.Thread(target=guarded, args=(work,)) for work in (*works, *others)]
        with switching_often():
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if self.errors:
            raise self.errors[0]
        for session, direction in ((self.sender, OUT), (self.receiver, IN)):
            state = session.state(direction)
            assert state.rtp.processed == sum(self.exchanges) * PACKETS
            assert state.rtcp.processed == sum(self.exchanges)
            by_stream = [stream.rtp.processed for stream in state.streams if stream.ssrc < SENDERS]
            assert by_stream == [rounds * PACKETS for rounds in self.exchanges]

    def watch(self) -> None:
        """Looks at everything there is to look at."""
        while self.running == SENDERS:
            for session, direction in ((self.sender, OUT), (self.receiver, IN)):
                state = session.state(direction)
                assert state.rtp.processed >= sum(stream.rtp.processed for stream in state.streams)
                session.events()
                session.roc(1, direction)
                repr(session)
                assert session.policy(direction) is not None
                again = Session.import_state(session.export_state(SEALING_KEY), SEALING_KEY)
                assert again.policy(direction) is not None

    def come_and_go(self) -> None:
        """Policies and streams of other SSRCs."""
        number = 0
        while self.running == SENDERS:
            ssrc = 1000 + number % 50
            number += 1
            for session, direction in ((self.sender, OUT), (self.receiver, IN)):
                session.add_policy(ssrc, direction, Policy.with_keys(AES, [key(number, b"x" * (number % 7))]))
                session.policy(direction, ssrc)
                assert session.remove_stream(ssrc, direction)


@contextmanager
def switching_often() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def test_keys_with_mki_come_and_go() -> None:
    traffic = Traffic(Policy.with_keys(AES, [key(1, b"\0\1")]))

    def change_keys() -> None:
        for old in range(1, CHANGES + 1):
            number = old + 1
            traffic.receiver.add_key(IN, key(number, number.to_bytes(2)))
            traffic.sender.add_key(OUT, key(number, number.to_bytes(2)))
            traffic.sender.switch_key(number.to_bytes(2))
            traffic.sender.remove_key(OUT, old.to_bytes(2))
            traffic.wait_for_all()
            traffic.receiver.remove_key(IN, old.to_bytes(2))
            traffic.changes_to_come -= 1

    traffic.changes_to_come = CHANGES
    traffic.run(change_keys, traffic.watch, traffic.come_and_go)


@pytest.mark.parametrize("profile", [AES, Profile.AEAD_AES_128_GCM])
def test_rekeying_without_mki(profile: Profile) -> None:
    def of(number: int) -> MasterKey:
        return MasterKey(number.to_bytes(profile.master_key_length), number.to_bytes(profile.master_salt_length))

    traffic = Traffic(Policy.with_keys(profile, [of(1)]))

    def rekey() -> None:
        for number in range(2, CHANGES + 2):
            # Longer than any thread can be held up between protecting and unprotecting.
            traffic.receiver.rekey(IN, of(number), overlap=2**40)
            traffic.sender.rekey(OUT, of(number))
            traffic.wait_for_all()
            traffic.changes_to_come -= 1

    traffic.changes_to_come = CHANGES
    traffic.run(rekey)


def test_the_same_policy_is_added_and_removed_by_many() -> None:
    """One of them is the first, and whatever the order nothing is left half there."""
    traffic = Traffic(Policy.with_keys(AES, [key(1)]))

    def add_and_remove() -> None:
        while traffic.running == SENDERS:
            try:
                traffic.sender.add_policy(77, OUT, Policy.with_keys(AES, [key(2)]))
            except ValueError:  # another was first
                continue
            traffic.sender.remove_stream(77, OUT)

    def remove() -> None:
        while traffic.running == SENDERS:
            traffic.sender.remove_stream(77, OUT)
            traffic.sender.events()

    traffic.run(add_and_remove, add_and_remove, remove)


def test_a_call_in_the_middle_of_a_change_of_keys_is_refused_and_does_not_wait_for_ever() -> None:
    sessions: list[Session] = []
    refused = 0

    class MeddlingPolicy(Policy):
        """Uses the session in the middle of a change of its keys, as a signal handler or a finalizer might."""

        def replace_keys(self, keys: Iterable[MasterKey]) -> Policy:
            nonlocal refused
            uses: tuple[Callable[[Session], object], ...] = (
                lambda session: session.protect(rtp(1)),
                lambda session: session.protect_list([rtp(1)]),
                lambda session: session.protect_batch(PacketBatch(1, 100)),
                lambda session: session.state(OUT),
                lambda session: session.events(),
                lambda session: protect_fanout(rtp(1), [FanoutTarget(session)]),
            )
            for use in uses:
                with pytest.raises(RuntimeError, match="in the middle of a call"):
                    use(sessions[0])
                refused += 1
            return super().replace_keys(keys)

    sessions.append(Session(MeddlingPolicy(AES, bytes(16), bytes(14), mki=b"\x01"), None))
    session = sessions[0]
    session.add_key(OUT, key(2, b"\x02"))
    assert refused == 6
    session.switch_key(b"\x02")
    assert session.protect(rtp(1))
    assert session.state(OUT).rtp.processed == 1
