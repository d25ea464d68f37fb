"""One DTLS-SRTP association (RFC 5764), sans-IO: datagrams and a clock in, datagrams and events out."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Iterable

from OpenSSL import SSL

from srtp import Profile
from srtp.field_checks import as_member

from ..errors import DtlsError, FingerprintError
from .certificate import DtlsCertificate
from .dtls_context import certificate_der, dtls_context
from .dtls_events import (
    AssociationClosed,
    DtlsEvent,
    DtlsFailure,
    DtlsState,
    HandshakeCompleted,
    HandshakeFailed,
)
from .dtls_records import MAX_RECORD_LENGTH, ContentType, datagrams_of, record_headers
from .fingerprint import Fingerprint, check_certificate, check_not_reflected
from .protection_profiles import (
    DEFAULT_PROFILES,
    EXPORTER_LABEL,
    keying_material_length,
    policies_from,
    profile_named,
)
from .setup_role import SetupRole

Address = tuple[str, int]

DEFAULT_MTU = 1200
HANDSHAKE_SECONDS = 30.0
MAX_VALIDATED = 64
_READ = 65536


class DtlsConnection:
    """The association of one media transport, with a peer whose fingerprints were signalled.

    `role` is ACTIVE for the client and PASSIVE for the server; `fingerprints` are the peer's. Datagrams are taken
    from `signalled`, the address of the peer in SDP, and from those that validate() named, and from nobody else:
    a ClientHello of a stranger changes nothing (CVE-2023-51443). From an address that was only signalled, a server
    first wants its cookie back (RFC 6347 4.2.1), so that one with a forged source changes nothing either.

    Use: feed receive_datagram() and handle_timer(), then send what datagrams_to_send() returns and look at
    events(), until next_timer() says when to come back. `now` is in seconds of any steady clock, the same in
    all calls; the retransmission of lost flights (RFC 6347 4.2.4) is timed by OpenSSL with the system's clock.

    Raises DtlsError when role or profiles do not fit, and FingerprintError when the fingerprints prove nothing or
    are our own.
    """

    def __init__(
        self,
        certificate: DtlsCertificate,
        role: SetupRole,
        fingerprints: Iterable[Fingerprint],
        *,
        signalled: Address | None = None,
        profiles: tuple[Profile, ...] = DEFAULT_PROFILES,
        mtu: int = DEFAULT_MTU,
        handshake_seconds: float = HANDSHAKE_SECONDS,
    ) -> None:
        role = as_member(SetupRole, role, "role")
        profiles = tuple(as_member(Profile, one, "one of profiles") for one in profiles)
        if role not in (SetupRole.ACTIVE, SetupRole.PASSIVE):
            raise DtlsError(f"a=setup:{role.value} is no role of a handshake")
        self.role = role
        self.fingerprints = tuple(fingerprints)
        if not any(one.known for one in self.fingerprints):
            raise FingerprintError("missing", "there is no fingerprint to verify a certificate by")
        check_not_reflected(self.fingerprints, certificate.der)
        self.profiles = profiles
        self.state = DtlsState.NEW
        self.signalled = signalled
        self.dropped = 0
        self._validated: dict[Address, None] = {}
        self._destination = signalled
        self._mtu = mtu
        self._handshake_seconds = handshake_seconds
        self._deadline: float | None = None
        self._events: list[DtlsEvent] = []
        self._output: list[tuple[bytes, Address]] = []
        self._refusal: FingerprintError | None = None
        self._cookie_secret = secrets.token_bytes(32)
        self._cookie_source: Address = ("", 0)
        self._cookie_sent = False
        self._hello_verified = role is SetupRole.ACTIVE
        context = dtls_context(certificate, profiles, self._verify, self._cookie, self._cookie_is_right)
        self._ssl = SSL.Connection(context, None)
        self._ssl.set_ciphertext_mtu(mtu)
        if role is SetupRole.ACTIVE:
            self._ssl.set_connect_state()
        else:
            self._ssl.set_accept_state()

    def start(self, now: float) -> None:
        """Begins: a client sends its ClientHello, once there is an address to send it to; a server waits for one.

        The time for the handshake counts from here. Starting again changes nothing.
        """
        if self.state is not DtlsState.NEW:
            return
        if self._deadline is None:
            self._deadline = now + self._handshake_seconds
        if self.role is SetupRole.ACTIVE and self._destination is not None:
            self.state = DtlsState.HANDSHAKING
            self._handshake()

    def validate(self, address: Address, now: float, *, selected: bool = False) -> None:
        """Says that ICE has shown the peer to be at an address; what we send goes to the `selected` one.

        Only the last 64 are kept.
        """
        self._validated.pop(address, None)
        self._validated[address] = None
        if len(self._validated) > MAX_VALIDATED:
            del self._validated[next(iter(self._validated))]
        if selected or not self._destination:
            self._destination = address
        if self._deadline is not None:
            self.start(now)

    def may_come_from(self, source: Address) -> bool:
        """Whether a datagram of this source would be looked at."""
        return source == self.signalled or source in self._validated

    def receive_datagram(self, data: bytes, source: Address, now: float) -> None:
        """Takes a datagram of DTLS; never raises for what is in it.

        Those of strangers, and those that are not made of whole records, are counted in `dropped`.
        """
        if self.state in (DtlsState.FAILED, DtlsState.CLOSED):
            return
        if not self.may_come_from(source) or not self._is_acceptable(data):
            self.dropped += 1
            return
        if self.role is SetupRole.ACTIVE and self.state is DtlsState.NEW:
            self.dropped += 1
            return
        self._ssl.bio_write(data)
        if not self._hello_verified and not self._verify_hello(source):
            return
        if self.state is DtlsState.NEW:
            self.state = DtlsState.HANDSHAKING
            self._deadline = now + self._handshake_seconds if self._deadline is None else self._deadline
            self._destination = source
        if self.state is DtlsState.HANDSHAKING:
            self._handshake()
        if self.state is DtlsState.CONNECTED:
            self._read()

    def next_timer(self, now: float) -> float | None:
        """Returns when handle_timer() is due, None for never."""
        if self.state not in (DtlsState.NEW, DtlsState.HANDSHAKING) or self._deadline is None:
            return None
        remaining = self._ssl.DTLSv1_get_timeout() if self.state is DtlsState.HANDSHAKING else None
        return self._deadline if remaining is None else min(self._deadline, now + remaining)

    def handle_timer(self, now: float) -> None:
        """Sends the last flight again when that is due, and ends a handshake that takes too long."""
        if self.state not in (DtlsState.NEW, DtlsState.HANDSHAKING) or self._deadline is None:
            return
        if now >= self._deadline:
            self._fail(DtlsFailure.TIMEOUT, f"no handshake in {self._handshake_seconds:g} seconds")
        elif self.state is DtlsState.HANDSHAKING:
            try:
                with contextlib.suppress(SSL.WantReadError):
                    self._ssl.DTLSv1_handle_timeout()
            except SSL.Error as error:
                self._fail(DtlsFailure.TIMEOUT, _text_of(error))
            self._flush()

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        """Returns the datagrams to be sent now, each with where to, and forgets them."""
        output, self._output = self._output, []
        return output

    def events(self) -> list[DtlsEvent]:
        """Returns what has happened since the last call."""
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Ends the association, telling the peer by close_notify when it is established. The keys stay valid."""
        if self.state is DtlsState.CONNECTED:
            with contextlib.suppress(SSL.Error):
                self._ssl.shutdown()
            self._flush()
        if self.state is not DtlsState.FAILED:
            self.state = DtlsState.CLOSED

    def _is_acceptable(self, data: bytes) -> bool:
        if not data or len(data) > MAX_RECORD_LENGTH:
            return False
        try:
            records = list(record_headers(data))
        except ValueError:
            return False
        # Anyone can make an alert of epoch 0; once there are keys the peer's has a higher one.
        connected = self.state is DtlsState.CONNECTED
        return not any(connected and one.content_type == ContentType.ALERT and not one.epoch for one in records)

    def _verify_hello(self, source: Address) -> bool:
        """Whether what was written is a ClientHello that may begin the handshake."""
        if source in self._validated and not self._cookie_sent:
            # ICE has done more than a cookie would, and the first flight may be too long for a stateless answer.
            self._hello_verified = True
            return True
        self._cookie_source = source
        try:
            self._ssl.DTLSv1_listen()
        except SSL.WantReadError:
            self._cookie_sent = True
            self._flush(source)
            return False
        except SSL.Error:
            self._discard_output()
            self.dropped += 1
            return False
        self._hello_verified = True
        return True

    def _cookie(self) -> bytes:
        text = f"{self._cookie_source[0]} {self._cookie_source[1]}"
        return hmac.digest(self._cookie_secret, text.encode(), hashlib.sha256)

    def _cookie_is_right(self, cookie: bytes) -> bool:
        return hmac.compare_digest(cookie, self._cookie())

    def _handshake(self) -> None:
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            self._flush()
            return
        except SSL.ZeroReturnError:
            self._fail(DtlsFailure.CLOSED, "the peer closed the association")
            return
        except SSL.Error as error:
            self._flush()
            if self._refusal is not None:
                self._fail(DtlsFailure.FINGERPRINT, str(self._refusal))
            else:
                self._fail(*_failure_of(error))
            return
        self._flush()
        self._complete()

    def _complete(self) -> None:
        """Checks what the handshake came to, all over again, and takes the keys."""
        certificate = self._ssl.get_peer_certificate()
        try:
            if certificate is None:
                raise FingerprintError("missing", "the peer showed no certificate")
            check_certificate(certificate_der(certificate), self.fingerprints)
        except FingerprintError as error:
            self._shut_down(DtlsFailure.FINGERPRINT, str(error))
            return
        try:
            profile = profile_named(self._ssl.get_selected_srtp_profile(), self.profiles)
        except DtlsError as error:
            self._shut_down(DtlsFailure.PROFILE, str(error))
            return
        length = keying_material_length(profile)
        material = self._ssl.export_keying_material(EXPORTER_LABEL, length)
        outbound, inbound = policies_from(profile, material, self.role)
        self.state = DtlsState.CONNECTED
        self._events.append(HandshakeCompleted(profile, outbound, inbound))

    def _verify(self, certificate: bytes) -> bool:
        try:
            check_certificate(certificate, self.fingerprints)
        except FingerprintError as error:
            self._refusal = error
            return False
        return True

    def _read(self) -> None:
        """Lets OpenSSL see what came after the handshake; application data has no place in DTLS-SRTP."""
        try:
            while True:
                self._ssl.recv(_READ)
        except SSL.WantReadError:
            self._flush()
        except SSL.Error:
            self._flush()
            self.state = DtlsState.CLOSED
            self._events.append(AssociationClosed())

    def _shut_down(self, failure: DtlsFailure, reason: str) -> None:
        with contextlib.suppress(SSL.Error):
            self._ssl.shutdown()
        self._flush()
        self._fail(failure, reason)

    def _fail(self, failure: DtlsFailure, reason: str) -> None:
        self.state = DtlsState.FAILED
        self._events.append(HandshakeFailed(failure, reason))

    def _flush(self, destination: Address | None = None) -> None:
        output = self._discard_output()
        destination = destination or self._destination
        if output and destination is not None:
            self._output += [(datagram, destination) for datagram in datagrams_of(output, self._mtu)]

    def _discard_output(self) -> bytes:
        output = b""
        with contextlib.suppress(SSL.WantReadError):
            while True:
                output += self._ssl.bio_read(_READ)
        return output


def _failure_of(error: SSL.Error) -> tuple[DtlsFailure, str]:
    text = _text_of(error)
    if "peer did not return a certificate" in text:
        return DtlsFailure.FINGERPRINT, text
    return DtlsFailure.PROTOCOL, text


def _text_of(error: SSL.Error) -> str:
    """OpenSSL's reasons in words."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(str(entry[-1]) for entry in entries[:4]) or type(error).__name__
