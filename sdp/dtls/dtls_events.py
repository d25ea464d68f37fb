"""What a DTLS-SRTP association reports."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from srtp import Policy, Profile
from srtp.field_checks import check_fields


class DtlsState(enum.Enum):
    """How far an association is."""

    NEW = "new"
    HANDSHAKING = "handshaking"
    CONNECTED = "connected"
    FAILED = "failed"
    CLOSED = "closed"


class DtlsFailure(enum.Enum):
    """Why a handshake failed."""

    FINGERPRINT = "fingerprint"  # the peer's certificate is not the one that was signalled, or there is none
    PROFILE = "profile"  # no SRTP protection profile was agreed on
    PROTOCOL = "protocol"  # DTLS itself: alerts, malformed messages, nothing in common
    TIMEOUT = "timeout"  # not completed in time
    CLOSED = "closed"  # the peer closed it before it was complete


@dataclass(frozen=True, slots=True)
class HandshakeCompleted:
    """The peer is the one that was signalled, and the keys are there.

    `outbound` protects what we send and `inbound` unprotects what we receive.
    """

    profile: Profile
    outbound: Policy
    inbound: Policy

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class HandshakeFailed:
    """There will be no keys from this association."""

    failure: DtlsFailure
    reason: str

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class AssociationClosed:
    """The peer closed an established association by close_notify, or by an alert that authenticated."""


DtlsEvent = HandshakeCompleted | HandshakeFailed | AssociationClosed
