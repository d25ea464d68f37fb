"""Why a packet does not authenticate: what would have to be different for it to do so.

For looking at a call that does not work, not for the way of packets: each suspicion is tried with a session of its own.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .errors import (
    KeyExpiredError,
    MalformedPacketError,
    NoPolicyError,
    PolicyError,
    ReplayError,
    SrtpError,
    UnencryptedPacketError,
)
from .field_checks import check_fields
from .master_key import MAX_MKI_LENGTH
from .policy import Policy
from .profile import Profile
from .state import Direction

if TYPE_CHECKING:
    from .session import Session

ROC_REACH = 2
MAX_ROC = 2**32 - 1


class Cause(enum.Enum):
    """What diagnose() can find."""

    ACCEPTED = "the packet is authentic under the policy as it is"
    MALFORMED = "the bytes are no packet of this kind"
    NO_POLICY = "the session has no policy for this direction and SSRC"
    REPLAYED = "the packet was received before, or lies before the replay window"
    KEY_EXPIRED = "the key's lifetime is used up, or the index is outside its range"
    UNENCRYPTED = "the packet is authentic but not encrypted as the policy asks"
    WRONG_ROC = "the sender's rollover counter is another"
    OTHER_TAG_LENGTH = "the tag has the length of another profile"
    MKI_ABSENT = "the policy expects an MKI, the packet has none"
    MKI_PRESENT = "the packet has an MKI that the policy does not know"
    OTHER_DIRECTION = "the packet is protected with the key of the other direction"
    OTHER_PROFILE = "the packet is protected with another profile under the same key"
    UNKNOWN = "the key is another, or the packet was damaged or forged"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What diagnose() found: the `cause`, and where it has one the `profile`, the `roc` (32 bits) or the `mki` with
    which the packet authenticates."""

    cause: Cause
    profile: Profile | None = None
    roc: int | None = None
    mki: bytes | None = None

    def __post_init__(self) -> None:
        check_fields(self)


_CAUSES: tuple[tuple[type[SrtpError], Cause], ...] = (
    (MalformedPacketError, Cause.MALFORMED),
    (NoPolicyError, Cause.NO_POLICY),
    (ReplayError, Cause.REPLAYED),
    (KeyExpiredError, Cause.KEY_EXPIRED),
    (UnencryptedPacketError, Cause.UNENCRYPTED),
)


def diagnose(session: Session, packet: bytes, rtcp: bool) -> Diagnosis:
    """Returns why a session's inbound policy does not accept a packet; the session is not changed."""
    ssrc = int.from_bytes(packet[4:8] if rtcp else packet[8:12], "big")
    policy = session.policy(Direction.INBOUND, ssrc)
    if policy is None:
        return Diagnosis(Cause.NO_POLICY)
    roc = 0 if rtcp else (session.roc(ssrc, Direction.INBOUND) or 0)
    trial = _Trial(type(session), packet, rtcp, ssrc)
    known = _without_suspicion(session, trial, policy, roc)
    if known is not None:
        return known
    for diagnosis, suspected, suspected_roc in _suspicions(session, trial, policy, roc):
        if trial.accepts(suspected, suspected_roc):
            return diagnosis
    return Diagnosis(Cause.UNKNOWN)


@dataclass(frozen=True, slots=True)
class _Trial:
    session_type: type[Session]
    packet: bytes
    rtcp: bool
    ssrc: int

    def outcome(self, policy: Policy, roc: int) -> SrtpError | None:
        session = self.session_type(None, policy)
        try:
            if self.rtcp:
                session.unprotect_rtcp(self.packet)
            else:
                session.set_roc(self.ssrc, Direction.INBOUND, roc)
                session.unprotect(self.packet)
        except SrtpError as error:
            return error
        return None

    def accepts(self, policy: Policy | None, roc: int) -> bool:
        if policy is None:
            return False
        return isinstance(self.outcome(policy, roc), UnencryptedPacketError | None)


def _without_suspicion(session: Session, trial: _Trial, policy: Policy, roc: int) -> Diagnosis | None:
    """What can be told with the policy as it is; None when it is the tag or the MKI that does not match."""
    sequence_number = int.from_bytes(trial.packet[2:4], "big")
    index = sequence_number if trial.rtcp else _nearest_index(session, trial.ssrc, roc, sequence_number)
    error = trial.outcome(policy, index >> 16 if not trial.rtcp else 0)
    if error is None:
        return Diagnosis(Cause.REPLAYED if _was_received(session, trial, index) else Cause.ACCEPTED)
    for kind, cause in _CAUSES:
        if isinstance(error, kind):
            return Diagnosis(cause)
    return None


def _nearest_index(session: Session, ssrc: int, roc: int, sequence_number: int) -> int:
    """The index that RFC 3711 3.3.1 would estimate, the one nearest to the highest received."""
    top = roc << 16
    for stream in session.state(Direction.INBOUND).streams:
        if stream.ssrc == ssrc and stream.rtp_replay.started:
            top = stream.rtp_replay.top
    candidates = [index for r in (roc - 1, roc, roc + 1) if (index := (r << 16) + sequence_number) >= 0]
    return min(candidates, key=lambda index: abs(index - top))


def _was_received(session: Session, trial: _Trial, index: int) -> bool:
    for stream in session.state(Direction.INBOUND).streams:
        if stream.ssrc != trial.ssrc:
            continue
        replay = stream.rtcp_replay if trial.rtcp else stream.rtp_replay
        if trial.rtcp:
            index = _rtcp_index(session, trial)
        return replay.started and index <= replay.top and _refuses(replay.window, replay.top - index)
    return False


def _rtcp_index(session: Session, trial: _Trial) -> int:
    policy = session.policy(Direction.INBOUND, trial.ssrc)
    assert policy is not None
    behind = len(policy.mki) + (0 if policy.profile.is_aead else policy.profile.rtcp_tag_length)
    end = len(trial.packet) - behind
    return int.from_bytes(trial.packet[end - 4 : end], "big") & 0x7FFFFFFF


def _refuses(window: int, age: int) -> bool:
    return bool(window >> age & 1) or age >= window.bit_length()


def _suspicions(
    session: Session, trial: _Trial, policy: Policy, roc: int
) -> Iterator[tuple[Diagnosis, Policy | None, int]]:
    if not trial.rtcp:
        for delta in (1, -1, 2, -2):
            other = roc + delta
            if 0 <= other <= MAX_ROC and abs(delta) <= ROC_REACH:
                yield Diagnosis(Cause.WRONG_ROC, roc=other), policy, other
    outbound = session.policy(Direction.OUTBOUND, trial.ssrc)
    if outbound is not None:
        yield Diagnosis(Cause.OTHER_DIRECTION), outbound, roc
    if policy.mki:
        yield Diagnosis(Cause.MKI_ABSENT), policy.replace_keys([replace(policy.master_keys[0], mki=b"")]), roc
    for profile in Profile:
        if profile is not policy.profile:
            yield _of_profile(policy, profile), _with_profile(policy, profile), roc
    for length in range(1, MAX_MKI_LENGTH + 1):
        mki = _mki_at_end(trial, policy, length)
        if mki is not None and mki != policy.mki:
            yield (
                Diagnosis(Cause.MKI_PRESENT, mki=mki),
                policy.replace_keys([replace(policy.master_keys[0], mki=mki)]),
                roc,
            )


def _of_profile(policy: Policy, profile: Profile) -> Diagnosis:
    ours, theirs = policy.profile, profile
    same_but_tag = (ours.cipher, ours.master_key_length) == (theirs.cipher, theirs.master_key_length)
    return Diagnosis(Cause.OTHER_TAG_LENGTH if same_but_tag else Cause.OTHER_PROFILE, profile=profile)


def _with_profile(policy: Policy, profile: Profile) -> Policy | None:
    """The policy with another profile; a salt of 14 bytes is cut for one of 12. None where the key does not fit."""
    first = policy.master_keys[0]
    salt = bytes(first.salt)[: profile.master_salt_length]
    try:
        return Policy.with_keys(profile, [replace(first, salt=salt)])
    except PolicyError:
        return None


def _mki_at_end(trial: _Trial, policy: Policy, length: int) -> bytes | None:
    profile = policy.profile
    tag = 0 if profile.is_aead else profile.rtcp_tag_length if trial.rtcp else profile.rtp_tag_length
    end = len(trial.packet) - tag
    return trial.packet[end - length : end] if end - length > 0 else None
