"""The one interface of every keying method: how a stream gets its SRTP keys by offer and answer.

A method (sdescriptions, MIKEY, DTLS-SRTP, none) is an object without state of a session: its settings. The
negotiation (`session_negotiation.py`) asks it, for each m= section, in one of two ways:

    offerer                                             answerer
    offer = method.create_offer(local)                  examined = method.receive_offer(remote)
    ... offer.lines go into the SDP ...                 answer = examined.proposal.create_answer(local)
    result = offer.receive_answer(remote)               ... answer.lines go into the SDP; answer.result ...

Every exchange is an object of its own, and nothing is remembered in the method: a rejected or lost re-offer is
dropped and what was in force stays in force (RFC 4568 7.1.4). What a later exchange must know of the earlier one
is its KeyingResult, which comes back as `previous`; a method that needs more than policies in it (the lines of
both sides, the role and the fingerprints of DTLS) derives its own class from KeyingResult.

A result is one of three:

- PLAIN: no SRTP was agreed; there are no policies.
- KEYED: both policies are there, the media may start.
- PENDING: SRTP was agreed and its keys come later, as DTLS-SRTP's do by a handshake on the media path. Until then
  nothing may be sent or taken; `with_policies()` then gives the KEYED result. It never falls back to PLAIN.

The rules a method keeps:

- It never raises for what the peer wrote in an offer: it returns no proposal, and a Refusal with a one-word code and
  a text for each attribute of its own it did not take. Attributes of methods that were not asked, or not preferred,
  get theirs from the negotiation, which finds them by `subjects()`.
- In an answer it returns None when none of its attributes is there, and raises NegotiationError when they are
  there and not acceptable. It never returns PLAIN for an answer that it cannot read.
- `local.fresh` says that new keys are due: a first exchange, a changed transport address (RFC 4568 7.1.4), or the
  application's wish. Without it the keys of `local.previous` are offered again, so that contexts and ROC go on.
- `remote.description` is one object for all sections of a description, so that attributes of the session level
  (a=key-mgmt, a=fingerprint) that hold for several sections can be recognised as the same message.
- Refusals, errors and reprs never hold a key.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Protocol, Self

from srtp import Policy
from srtp.field_checks import check_fields

from ..description.session_description import Line, MediaDescription, SessionDescription
from ..errors import Refusal, named

PLAIN_PROTOCOLS = ("RTP/AVP", "RTP/AVPF")
SECURE_PROTOCOLS = ("RTP/SAVP", "RTP/SAVPF")
DTLS_PROTOCOLS = ("UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF")
_PROTOCOLS = frozenset((*PLAIN_PROTOCOLS, *SECURE_PROTOCOLS, *DTLS_PROTOCOLS, "TCP/MSRP", "TCP/TLS/MSRP", "udptl"))
_MEDIA = frozenset(("audio", "video", "text", "application", "message", "image"))


def protocol_name(section: MediaDescription) -> str:
    """Returns what an error may call the transport of a section."""
    return named(section.protocol, _PROTOCOLS, "a transport")


def media_name(section: MediaDescription) -> str:
    """Returns what an error may call the media of a section."""
    return named(section.media, _MEDIA, "media")


class KeyingState(enum.Enum):
    """How far the keying of a stream is."""

    PLAIN = "plain"
    KEYED = "keyed"
    PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyingResult:
    """What an exchange came to, by which method.

    `outbound` protects what we send and `inbound` unprotects what we receive; both are there when and only when
    `state` is KEYED (ValueError otherwise). `crypto_suite` is the name of RFC 4568 6.2 of what protects the
    media, `lifetime` the shortest lifetime that was signalled, in packets.
    """

    method: str
    state: KeyingState
    outbound: Policy | None = None
    inbound: Policy | None = None
    crypto_suite: str | None = None
    lifetime: int | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        keyed = self.state is KeyingState.KEYED
        if (self.outbound is not None) is not keyed or (self.inbound is not None) is not keyed:
            raise ValueError(f"a result that is {self.state.value} with the wrong number of policies")

    @property
    def secured(self) -> bool:
        """Whether the media is SRTP, with its keys there or still to come."""
        return self.state is not KeyingState.PLAIN

    def with_policies(self, outbound: Policy, inbound: Policy, crypto_suite: str | None) -> Self:
        """Returns the KEYED result that a PENDING one becomes once the keys are there."""
        if self.state is KeyingState.PLAIN:
            raise ValueError("no keys were agreed on")
        return replace(self, state=KeyingState.KEYED, outbound=outbound, inbound=inbound, crypto_suite=crypto_suite)


@dataclass(frozen=True, slots=True)
class KeyingLines:
    """The lines a method puts into a description: below its m= line, and before the first m= line."""

    media: tuple[Line, ...] = ()
    session: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class LocalSection:
    """Our side of the section that lines are wanted for.

    `index` is its place among the m= lines from 0, `protocol` the m= line's transport, `address` and `port` where
    we receive. `previous` is what is in force, and `fresh` says whether new keys are due.
    """

    index: int
    protocol: str
    address: str
    port: int
    previous: KeyingResult | None = None
    fresh: bool = True

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class RemoteSection:
    """A section of the peer's, as offered or answered.

    `section` is description.media[index], or what a potential configuration (RFC 5939) makes of it. `previous` is
    what is in force.
    """

    description: SessionDescription
    index: int
    section: MediaDescription
    previous: KeyingResult | None = None

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class KeyingAnswer:
    """The lines for our answer, and what holds once it is sent."""

    lines: KeyingLines
    result: KeyingResult


class KeyingProposal(Protocol):
    """An offer that a method can take."""

    @property
    def taken(self) -> tuple[str, ...]:
        """The subjects (see KeyingMethod.subjects) of the attributes that an answer would take."""
        ...

    def create_answer(self, local: LocalSection) -> KeyingAnswer:
        """Returns our answer; raises NegotiationError when it cannot be made after all."""
        ...


@dataclass(frozen=True, slots=True)
class Examined:
    """What a method finds in an offer: a proposal, or None, and why each attribute of its own was not taken."""

    proposal: KeyingProposal | None
    refusals: tuple[Refusal, ...] = ()


class KeyingOffer(Protocol):
    """What a method offered in a section; it can be answered more than once, as when an INVITE forks."""

    @property
    def lines(self) -> KeyingLines:
        """The lines for our offer."""
        ...

    def receive_answer(self, remote: RemoteSection) -> KeyingResult | None:
        """Returns what an answer came to, None when it has none of the method's attributes.

        Raises NegotiationError, with refusals, when it has and they are not acceptable.
        """
        ...


class KeyingMethod(Protocol):
    """A way to key a stream, with its settings."""

    @property
    def name(self) -> str:
        """The method's name: "sdescriptions", "mikey", "dtls-srtp", "none"."""
        ...

    def protocol(self, *, feedback: bool) -> str:
        """Returns the transport that an m= line names when this method is required; `feedback` wants RFC 4585's."""
        ...

    def takes(self, protocol: str) -> bool:
        """Whether the method can key an m= line of this transport, opportunistically (RFC 8643) or not."""
        ...

    def subjects(self, remote: RemoteSection) -> tuple[str, ...]:
        """Returns what to call each attribute of this method that holds for a section, without its key."""
        ...

    def create_offer(self, local: LocalSection) -> KeyingOffer:
        """Returns an offer for a section; raises NegotiationError when the settings do not allow one."""
        ...

    def receive_offer(self, remote: RemoteSection) -> Examined:
        """Looks at an offered section, changing nothing."""
        ...
