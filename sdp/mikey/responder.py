"""The responder: authenticates a first message, takes or refuses it, answers it (RFC 3830 5.3, RFC 4650, RFC 4738)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import MikeyError, MikeyParseError, MikeyRefusedError
from .certificates import identity_of, public_key_of, verify
from .code_points import CertificateType, DataType, ErrorNumber
from .crypto_session_bundle import CryptoSessionBundle
from .exchange import (
    Mode,
    accepted_mac,
    accepted_prf,
    authenticated_part,
    check_mac,
)
from .key_transport import MessageKeys
from .message import Message
from .message_checks import check_sdp_ids, identities, last_payload, timestamp_of
from .parties import Ourselves, Peer
from .payloads import Cert, Id, Kemac, Rand, Sign
from .prf import KeyDerivation
from .replay_cache import ReplayCache
from .responder_errors import error_message
from .responder_modes import process
from .responder_request import Request, ResponderSettings
from .timestamp import is_later

_MODES = {int(mode.request): mode for mode in Mode}
_MIN_RAND_LENGTH = 16
FindPeer = Callable[[Id | None], Peer | None]


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted message: the bundle, and the response to send, None where the initiator wants none."""

    bundle: CryptoSessionBundle
    response: bytes | None = field(repr=False)


class Responder:
    """Answers first messages and updates. No input or output; its only state is the replay cache.

    `find_peer` gives what we know of an initiator by the ID that it claims, None when its message has none.
    """

    def __init__(
        self,
        ourselves: Ourselves,
        find_peer: FindPeer,
        replay_cache: ReplayCache,
        settings: ResponderSettings | None = None,
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.ourselves = ourselves
        self.find_peer = find_peer
        self.replay_cache = replay_cache
        self.settings = settings or ResponderSettings()
        self._random_bytes = random_bytes

    def receive(
        self,
        data: bytes,
        now: float,
        *,
        ssrcs: tuple[int, ...] = (),
        sdp_ids: tuple[str, ...] | None = None,
        bundle: CryptoSessionBundle | None = None,
    ) -> Accepted:
        """Takes a first message, or an update of `bundle`.

        `ssrcs` are ours, put in order where the initiator left an SSRC open; `sdp_ids` are the key management
        protocols of the SDP offer, in order. `now` is in seconds since 1970, UTC.

        Raises MikeyParseError for what is no message and MikeyRefusedError for what is not accepted, whose
        `response` is the error message to send, authenticated if the initiator was. Neither changes anything,
        but that an authenticated message is remembered.
        """
        message = Message.parse(data)
        request: Request | None = None
        try:
            request = self._authenticate(message, data, now, bundle)
            if not self.settings.profile.null_over_tls:
                self.replay_cache.remember(authenticated_part(message, data), request.timestamp, now)
            if self.settings.require_sdp_ids:
                check_sdp_ids(message, sdp_ids)
            agreed, response = process(request, ssrcs, self._random_bytes)
        except (MikeyRefusedError, MikeyParseError) as error:
            refusal = _as_refusal(error)
            refusal.response = error_message(message, refusal.error_no, request, self.settings)
            raise refusal from None
        return Accepted(agreed, response)

    def _authenticate(self, message: Message, raw: bytes, now: float, bundle: CryptoSessionBundle | None) -> Request:
        """The order of 5.3: timestamp and replay, identity and algorithms, MAC or signature."""
        profile = self.settings.profile
        mode = _MODES.get(message.header.data_type)
        if mode is None or mode not in profile.modes:
            text = f"messages of type {message.header.data_type} are not accepted"
            raise MikeyRefusedError(ErrorNumber.INVALID_DT, text)
        timestamp = timestamp_of(message)
        if not profile.null_over_tls:
            self.replay_cache.check(authenticated_part(message, raw), timestamp, now)
        prf = accepted_prf(message.header.prf, profile)
        claimed, addressee = identities(message, self.ourselves.identity)
        if addressee not in (None, self.ourselves.identity):
            raise MikeyRefusedError(ErrorNumber.INVALID_ID, "the message is for somebody else")
        peer = self._peer(message, claimed)
        known = _known_bundle(message, bundle, peer)
        if known is not None and not is_later(timestamp.value, known.timestamp.value):
            # Else an update that was held back could bring back keys that were replaced.
            raise MikeyRefusedError(ErrorNumber.INVALID_TS, "the update is not later than the exchange before")
        derivation = KeyDerivation(prf, message.header.csb_id, self._rand(message, known))
        request = Request(
            message,
            mode,
            self.ourselves,
            peer,
            derivation,
            timestamp,
            now,
            self.settings,
            known,
            self._keys(mode, derivation, peer, known),
        )
        self._verify(request, raw)
        return request

    def _peer(self, message: Message, claimed: Id | None) -> Peer:
        certificates = message.all(Cert)
        if claimed is None and certificates and certificates[0].cert_type != CertificateType.X509V3_URL:
            claimed = identity_of(certificates[0])
        peer = self.find_peer(claimed)
        if peer is None or (claimed is not None and peer.identity != claimed):
            # The same answer as to a wrong MAC: it tells nobody whom we know.
            raise MikeyRefusedError(ErrorNumber.AUTH_FAILURE, "the initiator is not known")
        if peer.identity == self.ourselves.identity:
            raise MikeyRefusedError(ErrorNumber.AUTH_FAILURE, "the message claims to be from ourselves")
        return peer

    def _rand(self, message: Message, known: CryptoSessionBundle | None) -> bytes:
        """The RAND of a new bundle, or for an update, which has none (4.5), that of the bundle."""
        rand = message.only(Rand)
        if known is not None:
            return known.derivation.rand
        if rand is None:
            if self.settings.profile.null_over_tls:
                return b""
            raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, "the message has no RAND, and updates no known bundle")
        if len(rand.rand) < _MIN_RAND_LENGTH:
            raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, f"the RAND has less than {_MIN_RAND_LENGTH} bytes")
        return rand.rand

    def _keys(
        self, mode: Mode, derivation: KeyDerivation, peer: Peer, known: CryptoSessionBundle | None
    ) -> MessageKeys | None:
        if mode.signs:
            return None
        key = peer.pre_shared_key
        if known is not None and known.envelope_key_cached:
            key = known.message_key
        if key is None or not len(key):
            if self.settings.profile.null_over_tls:
                return None
            raise MikeyRefusedError(ErrorNumber.AUTH_FAILURE, "there is no key that is shared with the initiator")
        return MessageKeys(derivation, key)

    def _verify(self, request: Request, raw: bytes) -> None:
        message = request.message
        covered = authenticated_part(message, raw)
        if request.mode.signs:
            signature = last_payload(message, Sign)
            key = public_key_of(message, request.peer, request.now)
            verify(key, signature, self.settings.profile.signature_hashes, covered)
            return
        kemac = last_payload(message, Kemac)
        algorithm = accepted_mac(kemac.mac_algorithm, self.settings.profile)
        if self.settings.profile.null_over_tls:
            return
        if request.keys is None:
            raise MikeyError("a message without a key cannot be verified")
        check_mac(request.keys, algorithm, covered, kemac.mac)


def _known_bundle(message: Message, bundle: CryptoSessionBundle | None, peer: Peer) -> CryptoSessionBundle | None:
    """The bundle that a message updates: of the same CSB ID and peer. Such a message has no RAND."""
    if (
        bundle is None
        or bundle.csb_id != message.header.csb_id
        or peer.identity not in (bundle.initiator, bundle.responder)
    ):
        return None
    if message.only(Rand) is not None:
        raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, "an update may not have a RAND")
    if bundle.envelope_key_cached and message.header.data_type == DataType.PUBLIC_KEY:
        raise MikeyRefusedError(ErrorNumber.INVALID_DT, "with a cached envelope key an update is a PSK message")
    return bundle


def _as_refusal(error: MikeyRefusedError | MikeyParseError) -> MikeyRefusedError:
    if isinstance(error, MikeyRefusedError):
        return error
    return MikeyRefusedError(ErrorNumber.UNSUPPORTED_MESSAGE_TYPE, str(error))
