"""A packet is taken as it was when it was read, whatever another thread writes meanwhile, and a fan-out keeps its
sessions."""

from __future__ import annotations

from pathlib import Path

from native_programs import NativeBuilder, passes, require, run

from srtp import FanoutTarget, Policy, Profile, Session, protect_fanout


def test_nothing_is_written_outside_of_a_packet_that_is_rewritten_meanwhile(tmp_path: Path) -> None:
    """Cryptex, RFC 6904 and RFC 4771, protected and unprotected: the header changes after it was parsed."""
    sources = ["core_native/core_rewritten.c", "core_native/core_setup.c"]
    built = NativeBuilder(tmp_path).build(require("cc"), ["-O0"], ["core", "kernels"], {"core_rewritten": sources})
    passes(run(built / "core_rewritten"))


def test_a_fan_out_keeps_its_sessions() -> None:
    """Whatever the targets do when they are asked: here they let the session go as soon as it was named."""
    one = Policy(Profile.AES_CM_128_HMAC_SHA1_80, bytes(16), bytes(14))

    class Fleeting:
        payload_type = timestamp = ssrc = None

        def __init__(self) -> None:
            self._session: Session | None = Session(one, None)

        @property
        def session(self) -> Session:
            session, self._session = self._session, None
            assert session is not None
            return session

        @property
        def sequence_number(self) -> int:
            churn = [Session(one, one) for _ in range(20)]
            return len(churn)

    targets = [Fleeting() for _ in range(50)]
    packet = b"\x80\0\0\1" + bytes(8) + b"payload"
    sent = protect_fanout(packet, targets)  # type: ignore[arg-type]
    expected = Session(one, None).protect(packet[:2] + b"\0\x14" + packet[4:])
    assert sent == [expected] * 50


def test_targets_may_be_a_generator() -> None:
    one = Policy(Profile.AEAD_AES_128_GCM, bytes(16), bytes(12))
    packet = b"\x80\0\0\1" + bytes(8) + b"payload"
    sent = protect_fanout(packet, (FanoutTarget(Session(one, None)) for _ in range(200)))
    assert sent == [Session(one, None).protect(packet)] * 200
