"""One DTLS-SRTP association (RFC 5764), sans-IO: datagrams and a clock in, datagrams and events out."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import itertools
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
from .dtls_records import MAX_RECORD_LENGTH, Admitted, admit, datagrams_of
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
# Between one beginning and the next of a handshake that came to nothing.
AGAIN_AFTER = 1.0
# How long a handshake may go on after an alert that anybody could have made, before it begins anew.
ALERT_PATIENCE = 3.0
MAX_VALIDATED = 64
_READ = 65536
# A fatal alert in clear, of a number that no record of ours has had.
_BAD_CERTIFICATE = bytes((21, 0xFE, 0xFD, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 2, 42))
_HANDSHAKE = 22
# Certificate and ClientKeyExchange: what a client's second flight begins with, after the server's key has signed.
_ANSWERS_OF_CLIENT = (11, 16)
_TYPE_AT = 13


class DtlsConnection:
    """The association of one media transport, with a peer whose fingerprints were signalled.

    `role` is ACTIVE for the client and PASSIVE for the server; `fingerprints` are the peer's. Datagrams are taken
    from `signalled`, the address of the peer in SDP, and from those that validate() named, and from nobody else:
    a ClientHello of a stranger changes nothing (CVE-2023-51443). From an address that was only signalled, a server
    first wants its cookie back (RFC 6347 4.2.1), so that one with a forged source changes nothing either.

    Until there are keys nothing proves whose a datagram is. So those that cannot be the peer's are discarded record by
    record, alerts among them (RFC 6347 4.1.2.7), and a handshake that fails over the others begins anew, until its
    time is up. Anybody could show a certificate, too: one that was not signalled, or none, ends it when its key has
    signed this handshake, and the peer gets nothing more of it than an alert.

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
        self._cookie_secret = secrets.token_bytes(32)
        self._cookie_source: Address = ("", 0)
        self._certificate = certificate
        self._numbers = itertools.count()
        # Why it had to begin anew, and when it does; the random of the ClientHello that is being answered.
        self._trouble: str | None = None
        self._begin_at: float | None = None
        self._hello_random: bytes | None = None
        # What waits for the cookie of a client that begins anew, while a handshake is under way.
        self._candidate: SSL.Connection | None = None
        self._renew()

    def _renew(self) -> None:
        """Puts a fresh association of OpenSSL's in the place of the one that there was."""
        self._ssl = self._fresh()
        self._cookie_sent = False
        self._hello_verified = self.role is SetupRole.ACTIVE
        self._hello_random = None
        self._refusal: FingerprintError | None = None
        self._candidate = None
        self._wanted_cookie: bytes | None = None

    def _fresh(self) -> SSL.Connection:
        context = dtls_context(self._certificate, self.profiles, self._see, self._cookie, self._cookie_is_right)
        fresh = SSL.Connection(context, None)
        fresh.set_ciphertext_mtu(self._mtu)
        if self.role is SetupRole.ACTIVE:
            fresh.set_connect_state()
        else:
            fresh.set_accept_state()
        return fresh

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
            self._handshake(now)

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
        admitted = self._admit(data) if self.may_come_from(source) else None
        if admitted is None or (self.role is SetupRole.ACTIVE and self.state is DtlsState.NEW):
            self.dropped += 1
            return
        if admitted.alert is not None:
            self._heed(admitted.alert, now)
        if admitted.cookie is not None:
            self._note_cookie(admitted.cookie, now)
        if not admitted.records:
            self.dropped += 1
            return
        if self.state is DtlsState.HANDSHAKING and self._is_another_hello(admitted):
            if not self._takes_another(admitted.records, source):
                return
        else:
            self._ssl.bio_write(admitted.records)
            if not self._hello_verified and not self._verify_hello(source):
                return
        self._hello_random = self._hello_random or admitted.client_random
        if self.state is DtlsState.NEW:
            self.state = DtlsState.HANDSHAKING
            self._deadline = now + self._handshake_seconds if self._deadline is None else self._deadline
            self._destination = source
        if self.state is DtlsState.HANDSHAKING:
            self._handshake(now)
        if self.state is DtlsState.CONNECTED:
            self._read()

    def next_timer(self, now: float) -> float | None:
        """Returns when handle_timer() is due, None for never."""
        if self.state not in (DtlsState.NEW, DtlsState.HANDSHAKING) or self._deadline is None:
            return None
        remaining = self._ssl.DTLSv1_get_timeout() if self.state is DtlsState.HANDSHAKING else None
        times = (self._deadline, self._begin_at, None if remaining is None else now + remaining)
        return min(time for time in times if time is not None)

    def handle_timer(self, now: float) -> None:
        """Sends the last flight again when that is due, and ends a handshake that takes too long."""
        if self.state not in (DtlsState.NEW, DtlsState.HANDSHAKING) or self._deadline is None:
            return
        if now >= self._deadline:
            trouble = "" if self._trouble is None else f"; before that: {self._trouble}"
            self._fail(DtlsFailure.TIMEOUT, f"no handshake in {self._handshake_seconds:g} seconds{trouble}")
        elif self._begin_at is not None and now >= self._begin_at:
            self._begin_at = None
            self._renew()
            self.state = DtlsState.NEW
            self.start(now)
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

    def _admit(self, data: bytes) -> Admitted | None:
        if not data or len(data) > MAX_RECORD_LENGTH:
            return None
        try:
            cookie = self.role is SetupRole.PASSIVE or self._wanted_cookie is not None
            return admit(data, self.role, self._numbers, cookie=cookie)
        except ValueError:
            return None

    def _heed(self, alert: int, now: float) -> None:
        """Takes notice of a fatal alert in clear: a client whose handshake then comes to nothing begins anew."""
        if self.state is not DtlsState.HANDSHAKING:
            return
        self._trouble = f"an alert ({alert}) that nobody vouches for"
        if self.role is SetupRole.ACTIVE and self._begin_at is None:
            self._begin_at = now + ALERT_PATIENCE

    def _note_cookie(self, wanted: bytes, now: float) -> None:
        """Two requests for different cookies: one is forged, and OpenSSL has answered the first."""
        if self._wanted_cookie not in (None, wanted) and self._begin_at is None:
            self._begin_at = now + AGAIN_AFTER
        self._wanted_cookie = wanted

    def _is_another_hello(self, admitted: Admitted) -> bool:
        """Whether a client begins anew, or another one with its address, while a handshake is under way."""
        return admitted.client_random is not None and admitted.client_random != self._hello_random

    def _takes_another(self, records: bytes, source: Address) -> bool:
        """Whether a ClientHello takes the place of the one that is being answered: if it brings our cookie back."""
        self._candidate = self._candidate or self._fresh()
        self._candidate.bio_write(records)
        if not self._has_cookie(self._candidate, source):
            return False
        candidate = self._candidate
        self._renew()
        self._ssl, self._hello_verified = candidate, True
        return True

    def _verify_hello(self, source: Address) -> bool:
        """Whether what was written is a ClientHello that may begin the handshake."""
        if source in self._validated and not self._cookie_sent:
            # ICE has done more than a cookie would, and the first flight may be too long for a stateless answer.
            self._hello_verified = True
            return True
        if self._has_cookie(self._ssl, source):
            self._hello_verified = True
        return self._hello_verified

    def _has_cookie(self, ssl: SSL.Connection, source: Address) -> bool:
        """Whether the ClientHello that was written brings our cookie back; one without is sent one."""
        self._cookie_source = source
        try:
            ssl.DTLSv1_listen()
        except SSL.WantReadError:
            self._cookie_sent = True
            self._send_out(_output_of(ssl), source)
            return False
        except SSL.Error:
            _output_of(ssl)
            self.dropped += 1
            return False
        return True

    def _cookie(self) -> bytes:
        text = f"{self._cookie_source[0]} {self._cookie_source[1]}"
        return hmac.digest(self._cookie_secret, text.encode(), hashlib.sha256)

    def _cookie_is_right(self, cookie: bytes) -> bool:
        return hmac.compare_digest(cookie, self._cookie())

    def _handshake(self, now: float) -> None:
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            output = _output_of(self._ssl)
            if self._refusal is not None and _is_answer_of_client(output):
                # The server's key has signed what that answers; with it, the peer would take us for connected.
                self._refuse(self._refusal)
            elif self._destination is not None:
                self._send_out(output, self._destination)
            return
        except SSL.Error as error:
            self._flush()
            text = "the peer closed it" if isinstance(error, SSL.ZeroReturnError) else _text_of(error)
            self._begin_anew(text, now)
            return
        self._complete()

    def _begin_anew(self, trouble: str, now: float) -> None:
        """Gives up what a datagram has ended that may have been anybody's, and tries again until the time is up."""
        self._trouble = trouble
        self._renew()
        # A server waits for the next ClientHello, a client for a moment, so that nobody has it send without end.
        self.state = DtlsState.NEW
        self._begin_at = now + AGAIN_AFTER if self.role is SetupRole.ACTIVE else None

    def _complete(self) -> None:
        """Checks whom the handshake was made with, before the end of it is sent, and takes the keys."""
        certificate = self._ssl.get_peer_certificate()
        try:
            if certificate is None:
                raise FingerprintError("missing", "the peer showed no certificate")
            check_certificate(certificate_der(certificate), self.fingerprints)
        except FingerprintError as error:
            self._refuse(error)
            return
        self._flush()
        try:
            profile = profile_named(self._ssl.get_selected_srtp_profile(), self.profiles)
        except DtlsError as error:
            self._shut_down(DtlsFailure.PROFILE, str(error))
            return
        length = keying_material_length(profile)
        material = self._ssl.export_keying_material(EXPORTER_LABEL, length)
        outbound, inbound = policies_from(profile, material, self.role)
        self.state = DtlsState.CONNECTED
        self._begin_at = None
        self._events.append(HandshakeCompleted(profile, outbound, inbound))

    def _see(self, certificate: bytes) -> None:
        try:
            check_certificate(certificate, self.fingerprints)
        except FingerprintError as error:
            self._refusal = error

    def _refuse(self, error: FingerprintError) -> None:
        """Ends a handshake with somebody else: what OpenSSL would say to end it well is not sent."""
        _output_of(self._ssl)
        if self._destination is not None:
            self._send_out(_BAD_CERTIFICATE, self._destination)
        self._fail(DtlsFailure.FINGERPRINT, str(error))

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

    def _flush(self) -> None:
        if self._destination is not None:
            self._send_out(_output_of(self._ssl), self._destination)

    def _send_out(self, output: bytes, destination: Address) -> None:
        self._output += [(datagram, destination) for datagram in datagrams_of(output, self._mtu)]


def _is_answer_of_client(output: bytes) -> bool:
    """Whether a client sends more than a ClientHello, which may be sent again at any time."""
    return len(output) > _TYPE_AT and output[0] == _HANDSHAKE and output[_TYPE_AT] in _ANSWERS_OF_CLIENT


def _output_of(ssl: SSL.Connection) -> bytes:
    """Takes out what OpenSSL wants to be sent."""
    output = b""
    with contextlib.suppress(SSL.WantReadError):
        while True:
            output += ssl.bio_read(_READ)
    return output


def _text_of(error: SSL.Error) -> str:
    """OpenSSL's reasons in words."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(str(entry[-1]) for entry in entries[:4]) or type(error).__name__
