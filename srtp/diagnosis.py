"""Why a packet does not authenticate: what would have to be different for it to do so.

For looking at a call that does not work, not for the way of packets: each suspicion is tried with a session of its own.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from . import saved_state
from .errors import (
    KeyExpiredError,
    MalformedPacketError,
    NoPolicyError,
    PolicyError,
    ReplayError,
    SrtpError,
    TooManyStreamsError,
    UnencryptedPacketError,
    UnexpectedCryptexError,
)
from .field_checks import check_fields
from .master_key import MAX_MKI_LENGTH
from .policy import Policy
from .profile import Profile
from .state import Direction

if TYPE_CHECKING:
    from .session import Session

# 4,096 cycles of 65,536 packets are two months of 50 packets a second, or three days of 1,000.
ROC_REACH = 4096
MAX_ROC = 2**32 - 1
MOST_KEYS_TRIED = 16
RTCP_TYPES = range(192, 224)


class Cause(enum.Enum):
    """What diagnose() can find."""

    ACCEPTED = "the packet is authentic under the policy as it is"
    MALFORMED = "the bytes are no packet of this kind"
    IS_RTCP = "the packet is SRTCP, which is for unprotect_rtcp()"
    IS_RTP = "the packet is SRTP, which is for unprotect()"
    NO_POLICY = "the session has no policy for this direction and SSRC"
    TOO_MANY_STREAMS = "the session has as many SSRCs already as the policy lets peers bring"
    REPLAYED = "the packet was received before, or lies before the replay window"
    KEY_EXPIRED = "the key's lifetime is used up, or the index is outside its range"
    UNENCRYPTED = "the packet is not encrypted as the policy asks"
    UNEXPECTED_CRYPTEX = "the packet is encrypted by Cryptex, which the policy has not"
    WRONG_ROC = "the sender's rollover counter is another"
    OTHER_TAG_LENGTH = "the tag has the length of another profile"
    SHORT_RTCP_TAG = "the tag of SRTCP is cut to 4 bytes, which only that of SRTP may be (RFC 4568 6.2.2)"
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
    (TooManyStreamsError, Cause.TOO_MANY_STREAMS),
    (NoPolicyError, Cause.NO_POLICY),
    (KeyExpiredError, Cause.KEY_EXPIRED),
    (UnencryptedPacketError, Cause.UNENCRYPTED),
    (UnexpectedCryptexError, Cause.UNEXPECTED_CRYPTEX),
)


def diagnose(session: Session, packet: bytes, rtcp: bool) -> Diagnosis:
    """Returns why a session does not accept a received packet; the session is not changed."""
    error = _outcome(saved_state.copy_of_receiver(session), packet, rtcp)
    if error is None:
        return Diagnosis(Cause.ACCEPTED)
    trial = _Trial(type(session), packet, rtcp, _ssrc_of(packet, rtcp))
    if _is_of_other_kind(session, packet, rtcp):
        return Diagnosis(Cause.IS_RTP if rtcp else Cause.IS_RTCP)
    found = next((cause for kind, cause in _CAUSES if isinstance(error, kind)), Cause.UNKNOWN)
    policy = session.policy(Direction.INBOUND, trial.ssrc)
    if policy is None or found not in (Cause.MALFORMED, Cause.UNKNOWN):
        return Diagnosis(found)
    if isinstance(error, ReplayError) and _is_authentic(session, packet, rtcp):
        return Diagnosis(Cause.REPLAYED)
    return _suspected(session, trial, policy) or Diagnosis(found)


def _suspected(session: Session, trial: _Trial, policy: Policy) -> Diagnosis | None:
    """With what else the packet is authentic; what is too short for the policy's tag may have a shorter one."""
    roc = session.roc(trial.ssrc, Direction.INBOUND) or 0
    for diagnosis, suspected, suspected_roc in _suspicions(session, trial, policy, roc):
        if trial.accepts(suspected, suspected_roc):
            return diagnosis
    if trial.rtcp:
        return Diagnosis(Cause.SHORT_RTCP_TAG) if trial.accepts_short_tag(policy) else None
    other = next((other for other in _rocs(roc) if trial.accepts(policy, other)), None)
    return None if other is None else Diagnosis(Cause.WRONG_ROC, roc=other)


def _ssrc_of(packet: bytes, rtcp: bool) -> int:
    return int.from_bytes(packet[4:8] if rtcp else packet[8:12], "big")


def _outcome(session: Session, packet: bytes, rtcp: bool) -> SrtpError | None:
    try:
        (session.unprotect_rtcp if rtcp else session.unprotect)(packet)
    except SrtpError as error:
        return error
    return None


def _is_of_other_kind(session: Session, packet: bytes, rtcp: bool) -> bool:
    """Whether SRTP was given as SRTCP or the other way round; of the second byte, some values are both."""
    if len(packet) < 2 or (packet[1] in RTCP_TYPES) is rtcp:
        return False
    return _is_authentic(session, packet, not rtcp)


def _is_authentic(session: Session, packet: bytes, rtcp: bool) -> bool:
    """Whether the packet would be taken if it were a new one."""
    return _outcome(saved_state.copy_of_receiver(session, replay_check=False), packet, rtcp) is None


@dataclass(slots=True)
class _Trial:
    session_type: type[Session]
    packet: bytes
    rtcp: bool
    ssrc: int

    def accepts(self, policy: Policy | None, roc: int) -> bool:
        """Whether the packet is authentic under a policy and a ROC, though it be not encrypted as it should be."""
        if policy is None:
            return False
        session = self.session_type(None, policy)
        if not self.rtcp:
            session.set_roc(self.ssrc, Direction.INBOUND, roc)
        return isinstance(_outcome(session, self.packet, self.rtcp), UnencryptedPacketError | None)

    def accepts_short_tag(self, policy: Policy) -> bool:
        if policy.profile.is_aead:
            return False
        session = self.session_type(None, policy)
        session._shorten_rtcp_tags()
        return isinstance(_outcome(session, self.packet, rtcp=True), UnencryptedPacketError | None)


def _rocs(roc: int) -> Iterator[int]:
    """Other ROCs, the nearest first, and those of a sender that began anew."""
    near = [roc + sign * delta for delta in range(1, ROC_REACH + 1) for sign in (1, -1)]
    yield from (other for other in near if 0 <= other <= MAX_ROC)
    yield from range(min(ROC_REACH, max(roc - ROC_REACH, 0)))
    yield roc


def _suspicions(
    session: Session, trial: _Trial, policy: Policy, roc: int
) -> Iterator[tuple[Diagnosis, Policy | None, int]]:
    outbound = session.policy(Direction.OUTBOUND, trial.ssrc)
    if outbound is not None:
        ours = session.roc(trial.ssrc, Direction.OUTBOUND) or 0
        for ours_or_theirs in dict.fromkeys((ours, roc)):
            yield Diagnosis(Cause.OTHER_DIRECTION), outbound, ours_or_theirs
    if policy.mki:
        for key in policy.master_keys[:MOST_KEYS_TRIED]:
            yield Diagnosis(Cause.MKI_ABSENT), policy.replace_keys([replace(key, mki=b"")]), roc
    for profile in Profile:
        if profile is not policy.profile and _can_be_told(policy.profile, profile):
            yield _of_profile(policy, profile), _with_profile(policy, profile), roc
    for length in range(1, MAX_MKI_LENGTH + 1):
        mki = _mki_at_end(trial, policy, length)
        if mki is not None and mki != policy.mki:
            yield (
                Diagnosis(Cause.MKI_PRESENT, mki=mki),
                policy.replace_keys([replace(policy.master_keys[0], mki=mki)]),
                roc,
            )


def _can_be_told(ours: Profile, theirs: Profile) -> bool:
    """Whether a tag tells the profiles apart: those of HMAC-SHA1 have one authentication key, whatever the cipher, so
    that of them only the length of the tag is seen."""
    return ours.is_aead or theirs.is_aead or ours.cipher is theirs.cipher


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
