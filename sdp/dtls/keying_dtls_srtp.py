"""The keying method of DTLS-SRTP (RFC 5763, RFC 8842): offers and answers, and the association they lead to."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace

from srtp import Profile
from srtp.field_checks import check_fields

from ..description.session_description import Line, numeric_address
from ..errors import DtlsAttributeError, DtlsError, NegotiationError, Refusal
from ..keying.method import (
    DTLS_PROTOCOLS,
    PLAIN_PROTOCOLS,
    SECURE_PROTOCOLS,
    Examined,
    KeyingAnswer,
    KeyingLines,
    KeyingResult,
    KeyingState,
    LocalSection,
    RemoteSection,
)
from .certificate import DtlsCertificate
from .dtls_connection import Address, DtlsConnection
from .dtls_events import HandshakeCompleted
from .fingerprint import Fingerprint, check_not_reflected, fingerprint_values, hash_name, read_fingerprints
from .protection_profiles import DEFAULT_PROFILES
from .setup_role import SetupRole, role_from_answer, role_to_answer, setup_of
from .tls_id import new_tls_id, tls_id_of

NAME = "dtls-srtp"
_HELD_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104  # compared, not bound


@dataclass(frozen=True, slots=True, kw_only=True)
class DtlsSrtpResult(KeyingResult):
    """The association that was agreed on; PENDING until its handshake is done.

    `association` names it among all of ours: a re-offer that goes on with it has a result of the same name, whose
    keys are those already there, PENDING as it may be.
    `role` is ours, ACTIVE for the client. `fingerprints` are the peer's, `own_fingerprints` ours. The pair of
    `tls_id` and `remote_tls_id` identifies the association, where the peer has them (RFC 8842 4).
    `remote_address` is where the SDP says the peer is; `remote_ice` says that it wants ICE to find out.
    """

    association: str
    role: SetupRole
    fingerprints: tuple[Fingerprint, ...]
    own_fingerprints: tuple[Fingerprint, ...]
    tls_id: str | None
    remote_tls_id: str | None
    remote_address: Address
    remote_ice: bool

    def completed(self, event: HandshakeCompleted) -> DtlsSrtpResult:
        """Returns the KEYED result that a handshake makes of it."""
        return self.with_policies(event.outbound, event.inbound, event.profile.name)


@dataclass(frozen=True, slots=True)
class DtlsSrtp:
    """DTLS-SRTP with these settings.

    `certificate` is ours, and its fingerprints are sent for `hash_functions`. `preferred_role` is taken where an
    offer leaves the choice: ACTIVE by RFC 5763 5, PASSIVE where the peer cannot be reached first. `profiles` stand
    in order of preference. Without a=rtcp-mux RTCP has an association of its own, between its own ports, with the
    same roles and fingerprints (RFC 5764 3).
    """

    certificate: DtlsCertificate
    profiles: tuple[Profile, ...] = DEFAULT_PROFILES
    preferred_role: SetupRole = SetupRole.ACTIVE
    hash_functions: tuple[str, ...] = ("sha-256",)
    name: str = field(default=NAME, init=False)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.preferred_role not in (SetupRole.ACTIVE, SetupRole.PASSIVE):
            raise DtlsError("preferred_role is neither ACTIVE nor PASSIVE")

    def protocol(self, *, feedback: bool) -> str:
        return "UDP/TLS/RTP/SAVPF" if feedback else "UDP/TLS/RTP/SAVP"

    def takes(self, protocol: str) -> bool:
        """Besides its own transports the method keys RTP/SAVP(F), as WebRTC did once, and RTP/AVP(F) by RFC 8643."""
        return protocol in DTLS_PROTOCOLS + SECURE_PROTOCOLS + PLAIN_PROTOCOLS

    def subjects(self, remote: RemoteSection) -> tuple[str, ...]:
        values = fingerprint_values(remote.description, remote.section)
        return tuple(f"a=fingerprint:{hash_name(value.partition(' ')[0].lower())}" for value in values)

    @property
    def fingerprints(self) -> tuple[Fingerprint, ...]:
        """Our fingerprints."""
        return tuple(self.certificate.fingerprint(name) for name in self.hash_functions)

    def create_offer(self, local: LocalSection) -> DtlsSrtpOffer:
        """Returns an offer that leaves the role to the answerer (RFC 8842 5.2).

        It is for the association in force unless a fresh one is due, and then for a new one.
        """
        previous = _association(local.previous)
        if previous is not None and not local.fresh and previous.own_fingerprints == self.fingerprints:
            return DtlsSrtpOffer(self, previous.tls_id, previous)
        return DtlsSrtpOffer(self, new_tls_id(), None)

    def receive_offer(self, remote: RemoteSection) -> Examined:
        """Takes an offer whose fingerprints can prove a certificate that is not our own."""
        subjects = self.subjects(remote)
        if not subjects and remote.section.protocol not in DTLS_PROTOCOLS:
            return Examined(None)
        try:
            said = self.read(remote, answer=False)
            role = role_to_answer(said.setup, self.preferred_role)
        except DtlsAttributeError as error:
            return Examined(None, _refusals(subjects, error.code, str(error)))
        return Examined(DtlsSrtpProposal(self, said, role, subjects))

    def read(self, remote: RemoteSection, *, answer: bool) -> RemoteAssociation:
        """Returns what a section of the peer's says; raises DtlsAttributeError."""
        description, section = remote.description, remote.section
        fingerprints = read_fingerprints(fingerprint_values(description, section))
        check_not_reflected(fingerprints, self.certificate.der)
        return RemoteAssociation(
            setup_of(description, section, answer=answer),
            fingerprints,
            tls_id_of(section),
            (numeric_address(description.address_of(section) or "") or "", section.port),
            bool(section.attributes("ice-ufrag") or description.attributes("ice-ufrag")),
        )

    def lines(self, setup: SetupRole, tls_id: str | None) -> KeyingLines:
        """Returns the lines for our section."""
        values = [f"setup:{setup.value}"]
        values += [f"fingerprint:{fingerprint.serialize()}" for fingerprint in self.fingerprints]
        values += [] if tls_id is None else [f"tls-id:{tls_id}"]
        return KeyingLines(tuple(Line("a", value) for value in values))

    def pending(self, said: RemoteAssociation, role: SetupRole, tls_id: str | None) -> DtlsSrtpResult:
        """Returns a new association."""
        return DtlsSrtpResult(
            method=self.name,
            state=KeyingState.PENDING,
            association=secrets.token_hex(8),
            role=role,
            fingerprints=said.fingerprints,
            own_fingerprints=self.fingerprints,
            tls_id=tls_id,
            remote_tls_id=said.tls_id,
            remote_address=said.address,
            remote_ice=said.ice,
        )

    def connection(self, result: KeyingResult | None, *, signalled: Address | None) -> DtlsConnection:
        """Returns the association that was agreed on, to be started.

        `signalled` is where the peer's SDP says it is: `result.remote_address`, or the address of RTCP for that;
        None when it is only where ICE finds it (DtlsConnection.validate). Raises DtlsError when the result is not
        one of this method, or was made with another certificate.
        """
        if not isinstance(result, DtlsSrtpResult) or result.own_fingerprints != self.fingerprints:
            raise DtlsError("the result is not of this method and certificate")
        return DtlsConnection(
            self.certificate, result.role, result.fingerprints, signalled=signalled, profiles=self.profiles
        )


@dataclass(frozen=True, slots=True)
class RemoteAssociation:
    """What a section of the peer's says of its association."""

    setup: SetupRole
    fingerprints: tuple[Fingerprint, ...]
    tls_id: str | None
    address: Address
    ice: bool

    def __post_init__(self) -> None:
        check_fields(self)

    def continues(self, previous: DtlsSrtpResult, role: SetupRole) -> bool:
        """Whether it means the association in force, with our role being `role` (RFC 8842 4).

        With a=tls-id that is what tells; without, a change of the transport address asks for a new association, but
        not that of 0.0.0.0, which only holds, nor one that ICE deals with.
        """
        if set(self.fingerprints) != set(previous.fingerprints) or role is not previous.role:
            return False
        if self.tls_id is not None or previous.remote_tls_id is not None:
            return self.tls_id == previous.remote_tls_id
        return self.held or self.ice or self.address == previous.remote_address

    @property
    def held(self) -> bool:
        """Whether the address is the old form of hold, and no place."""
        return self.address[0] in _HELD_ADDRESSES

    def renew(self, previous: DtlsSrtpResult) -> DtlsSrtpResult:
        """Returns the association in force as it goes on."""
        return previous if self.held else replace(previous, remote_address=self.address)


@dataclass(frozen=True, slots=True)
class DtlsSrtpProposal:
    """An offer that can be taken; `taken` are its fingerprints."""

    method: DtlsSrtp
    said: RemoteAssociation
    role: SetupRole
    taken: tuple[str, ...]

    def __post_init__(self) -> None:
        check_fields(self)

    def create_answer(self, local: LocalSection) -> KeyingAnswer:
        """Goes on with the association in force if both sides want it, else begins a new one (RFC 8842 5.3)."""
        previous = _association(local.previous)
        if previous is not None and not local.fresh and previous.own_fingerprints == self.method.fingerprints:
            # actpass leaves the roles as they are.
            role = previous.role if self.said.setup is SetupRole.ACTPASS else self.role
            if self.said.continues(previous, role):
                lines = self.method.lines(role, self._tls_id(previous.tls_id))
                return KeyingAnswer(lines, self.said.renew(previous))
        tls_id = self._tls_id(None)
        lines = self.method.lines(self.role, tls_id)
        return KeyingAnswer(lines, self.method.pending(self.said, self.role, tls_id))

    def _tls_id(self, previous: str | None) -> str | None:
        """Ours for the answer: none when the offer has none."""
        return None if self.said.tls_id is None else previous or new_tls_id()


@dataclass(frozen=True, slots=True)
class DtlsSrtpOffer:
    """What was offered; `continued` is the association in force when that is meant."""

    method: DtlsSrtp
    tls_id: str | None
    continued: DtlsSrtpResult | None

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def lines(self) -> KeyingLines:
        return self.method.lines(SetupRole.ACTPASS, self.tls_id)

    def receive_answer(self, remote: RemoteSection) -> KeyingResult | None:
        """Returns the association in force or a new one; None when the answer has no fingerprint.

        Raises NegotiationError when it has, and they or what else it says of the association are not acceptable.
        """
        subjects = self.method.subjects(remote)
        if not subjects:
            return None
        try:
            said = self.method.read(remote, answer=True)
            role = role_from_answer(said.setup)
        except DtlsAttributeError as error:
            refusals = _refusals(subjects, error.code, str(error))
            raise NegotiationError("the answer's DTLS association is not acceptable", refusals=refusals) from None
        if self.continued is not None and said.continues(self.continued, role):
            return said.renew(self.continued)
        return self.method.pending(said, role, self.tls_id)


def _association(previous: KeyingResult | None) -> DtlsSrtpResult | None:
    return previous if isinstance(previous, DtlsSrtpResult) else None


def _refusals(subjects: tuple[str, ...], code: str, text: str) -> tuple[Refusal, ...]:
    return tuple(Refusal(subject, code, text) for subject in subjects or ("a=fingerprint",))
