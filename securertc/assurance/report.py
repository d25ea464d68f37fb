"""The report of a call: what each of the four tiers of RTC security gives, with the evidence."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from sdp import MediaSecurity, NegotiatedAudio
from sip import VerifiedPeer
from srtp.field_checks import check_fields

from .security_policy import SecurityPolicy


class TierStatus(enum.Enum):
    """SECURED: proven by the evidence. PARTIAL: some of it, as the evidence says. NONE: nothing."""

    SECURED = "secured"
    PARTIAL = "partial"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier: its status, and the facts it rests on as (name, value) pairs."""

    status: TierStatus
    evidence: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        check_fields(self)

    def fact(self, name: str) -> str | None:
        """Returns the value of a fact, or None."""
        return next((value for key, value in self.evidence if key == name), None)


@dataclass(frozen=True, slots=True)
class SecurityReport:
    """The four tiers of a call."""

    transaction: Tier
    identity: Tier
    body: Tier
    media: Tier

    def __post_init__(self) -> None:
        check_fields(self)

    def tiers(self) -> tuple[tuple[str, Tier], ...]:
        """Returns (name, tier) in the order of the report."""
        names = ("transaction", "identity", "body", "media")
        return tuple((name, getattr(self, name)) for name in names)

    def shortfalls(self, policy: SecurityPolicy) -> tuple[str, ...]:
        """Returns in words what the policy asked for and the call did not give; () when it gave all.

        The media tier is short under `required` when nothing has authenticated; the transaction and body tiers
        are when the keys crossed a hop without TLS that the policy did not allow.
        """
        found = []
        if policy.media is MediaSecurity.REQUIRED and self.media.status is not TierStatus.SECURED:
            found.append(f"media: SRTP is required, and the tier is {self.media.status.value}")
        readable = self.media.status is not TierStatus.NONE and self.body.status is TierStatus.NONE
        if readable and self.transaction.status is TierStatus.NONE and not policy.allow_cleartext_keys:
            found.append("transaction: keys or their fingerprints crossed a hop without TLS")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class SignallingFacts:
    """What is known of the first hop: its transport and address, what TLS proved, who authenticated how.

    `digest_algorithm` answered or checked a challenge; `authenticated_user` is who the peer proved to be. `path`
    names the proxies that showed themselves.
    """

    transport: str
    remote: str
    peer: VerifiedPeer | None
    digest_algorithm: str | None
    authenticated_user: str | None
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What the SRTP session counted of the packets received."""

    packets_sent: int
    authenticated: int
    rtcp_authenticated: int
    authentication_failures: int
    replays: int
    discarded: int

    def __post_init__(self) -> None:
        check_fields(self)


def report(signalling: SignallingFacts, agreed: NegotiatedAudio | None, media: MediaFacts, note: str) -> SecurityReport:
    """Returns the report for these facts; `note` says why there are no keys, where there could have been."""
    return SecurityReport(
        transaction=_transaction(signalling),
        identity=Tier(TierStatus.NONE, (("caller identity", "not signed (no PASSporT)"),)),
        body=_body(signalling, agreed, note),
        media=_media(agreed, media),
    )


def _transaction(facts: SignallingFacts) -> Tier:
    evidence = [("first hop", f"{facts.transport.upper()} {facts.remote}")]
    if facts.peer is not None:
        evidence += [("protocol", facts.peer.protocol), ("cipher", facts.peer.cipher)]
        if facts.peer.identity is not None:
            evidence.append(("verified name", f"{facts.peer.identity} ({facts.peer.kind})"))
    if facts.digest_algorithm is not None:
        evidence.append(("digest", facts.digest_algorithm))
    if facts.authenticated_user is not None:
        evidence.append(("authenticated user", facts.authenticated_user))
    if facts.peer is None:
        status = TierStatus.NONE if facts.digest_algorithm is None else TierStatus.PARTIAL
    else:
        proven = facts.peer.identity is not None or facts.authenticated_user is not None
        status = TierStatus.SECURED if proven else TierStatus.PARTIAL
    return Tier(status, tuple(evidence))


def _body(signalling: SignallingFacts, agreed: NegotiatedAudio | None, note: str) -> Tier:
    if agreed is None or not agreed.secured:
        return Tier(TierStatus.NONE, (("keys", note or "none in the SDP"),))
    if agreed.keying is not None and agreed.keying.method == "mikey":
        # Only a profile of the user's own lets MIKEY go without encryption; then it counts as keys in clear.
        bundle = getattr(agreed.keying, "bundle", None)
        if bundle is not None and not bundle.profile.null_over_tls:
            how = f"in the SDP, encrypted or agreed on by MIKEY ({bundle.mode.name})"
            return Tier(TierStatus.SECURED, (("keys", how), ("visible to", "both ends only")))
    if signalling.peer is None:
        return Tier(
            TierStatus.NONE,
            (("fingerprints", "in the SDP"), ("changeable by", "everybody on the path: a hop is cleartext"))
            if _handshaken(agreed)
            else (("keys", "in the SDP"), ("visible to", "everybody on the path: a hop is cleartext")),
        )
    if _handshaken(agreed):
        evidence: tuple[tuple[str, str], ...] = (
            ("keys", "by a DTLS handshake of the two ends; the SDP has their fingerprints"),
            ("changeable by", f"both ends{_proxies(signalling)}"),
            ("integrity", "hop by hop by TLS, as far as our hop shows; fingerprints are not signed (no PASSporT)"),
        )
        return Tier(TierStatus.PARTIAL, evidence)
    visible = "both ends"
    visible += _proxies(signalling)
    evidence = (
        ("keys", "in the SDP, readable at every SIP hop"),
        ("visible to", visible),
        ("encryption", "hop by hop by TLS, as far as our hop shows; not end to end (no S/MIME)"),
    )
    return Tier(TierStatus.PARTIAL, evidence)


def _handshaken(agreed: NegotiatedAudio) -> bool:
    """Whether the keys were agreed on by the two ends, and were not in the SDP."""
    return agreed.keying is not None and agreed.keying.method == "dtls-srtp"


def _proxies(signalling: SignallingFacts) -> str:
    return f" and the proxies {', '.join(signalling.path)}" if signalling.path else "; no proxy showed itself"


def _media(agreed: NegotiatedAudio | None, facts: MediaFacts) -> Tier:
    if agreed is None or not agreed.secured:
        return Tier(TierStatus.NONE, (("suite", "none: plain RTP"), ("packets sent", str(facts.packets_sent))))
    evidence = (
        ("suite", agreed.crypto_suite or ""),
        ("keying", agreed.keying.method if agreed.keying is not None else "sdescriptions"),
        ("packets sent", str(facts.packets_sent)),
        ("packets authenticated", f"{facts.authenticated} RTP, {facts.rtcp_authenticated} RTCP"),
        ("authentication failures", str(facts.authentication_failures)),
        ("replays", str(facts.replays)),
        ("discarded", str(facts.discarded)),
    )
    return Tier(TierStatus.SECURED if facts.authenticated else TierStatus.PARTIAL, evidence)
