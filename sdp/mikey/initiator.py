"""The initiator: makes the first message, understands the response (RFC 3830 3, RFC 4650 3, RFC 4738 3)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from srtp import Profile, SecretBytes
from srtp.field_checks import check_fields

from ..errors import MikeyError, MikeyPeerError, MikeyRefusedError
from .certificates import (
    ENVELOPE_KEY_LENGTH,
    certificate_hash,
    certificate_payloads,
    encrypt_envelope_key,
    known_public_key,
    signing_key,
)
from .code_points import (
    DhGroup,
    EncryptionAlgorithm,
    EnvelopeKeyCache,
    ErrorNumber,
    ExtensionType,
    HashFunction,
    MacAlgorithm,
    PrfFunction,
    SignatureType,
    TimestampType,
)
from .crypto_session_bundle import CryptoSessionBundle
from .diffie_hellman import DhKey
from .exchange import (
    STRICT,
    MikeyProfile,
    Mode,
    authenticated_part,
    seal_kemac,
    seal_with_kemac,
    seal_with_signature,
)
from .header import Header, SrtpId, SrtpIdMap
from .initiator_responses import ResponseReader
from .key_data import KeyData, KeyValidity
from .key_generation import new_tgk
from .key_transport import MessageKeys
from .message import Message, Payload, serialize_chain
from .parties import Ourselves, Peer
from .payloads import Dh, GeneralExtension, Id, Kemac, Pke, Rand, T
from .prf import KeyDerivation
from .replay_cache import ReplayCache
from .srtp_policy import policy_payload
from .timestamp import is_later, ntp_timestamp

_RAND_LENGTH = 16
_DEFAULT_PROFILES = (Profile.AES_CM_128_HMAC_SHA1_80,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What an initiator proposes.

    `streams` are the entries of the SRTP-ID map; over SDP two for each m line, ours with its SSRC and the peer's
    with 0 (RFC 4567 7.1). Policy n is `srtp_profiles[n]`, with `key_derivation_rate` (RFC 3711
    4.3.1). `keys` are made where none are given: one TGK with `validity`. `sdp_ids` are the key management
    protocols of the offer. `rekey` false makes an update without new keys. Without `include_identities` the peer
    has to know by other means whose message it is, as GStreamer, whose parser stops at an ID.
    """

    mode: Mode
    streams: tuple[SrtpId, ...]
    srtp_profiles: tuple[Profile, ...] = _DEFAULT_PROFILES
    key_derivation_rate: int = 0
    verification: bool = True
    keys: tuple[KeyData, ...] = ()
    validity: KeyValidity = field(default_factory=KeyValidity)
    sdp_ids: tuple[str, ...] = ()
    prf: PrfFunction = PrfFunction.MIKEY_1
    encryption: EncryptionAlgorithm = EncryptionAlgorithm.AES_CM_128
    mac: MacAlgorithm = MacAlgorithm.HMAC_SHA_1_160
    dh_group: DhGroup = DhGroup.OAKLEY_5
    signature_type: SignatureType = SignatureType.RSA_PKCS1_1_5
    signature_hash: HashFunction = HashFunction.SHA_1
    envelope_key_cache: EnvelopeKeyCache = EnvelopeKeyCache.NO_CACHE
    rekey: bool = True
    include_identities: bool = True

    def __post_init__(self) -> None:
        check_fields(self)


class Initiator:
    """One exchange as its initiator, or an update of `bundle` (4.5). No input or output: bytes in, bytes out.

    `create_message` makes the first message; `receive` reads what comes back. `bundle` is what was agreed: at
    once where no response is needed, else after it. `replay_cache`, when it is that of our responder, keeps our
    message from being reflected to us. A new bundle gets an ID that is not of `csb_ids_in_use`, those that there
    are with this peer (6.1). Raises MikeyRefusedError when the proposal is not of the profile, or
    something that the mode needs is missing.
    """

    def __init__(
        self,
        proposal: Proposal,
        ourselves: Ourselves,
        peer: Peer,
        *,
        profile: MikeyProfile = STRICT,
        bundle: CryptoSessionBundle | None = None,
        replay_cache: ReplayCache | None = None,
        csb_ids_in_use: frozenset[int] = frozenset(),
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        _check_proposal(proposal, profile)
        self.proposal = proposal
        self.ourselves = ourselves
        self.peer = peer
        self.profile = profile
        self.bundle: CryptoSessionBundle | None = None
        self._previous = bundle
        self._replay_cache = replay_cache
        self._csb_ids_in_use = csb_ids_in_use
        self._random_bytes = random_bytes
        self._reader: ResponseReader | None = None
        self._over = False

    def create_message(self, now: float) -> bytes:
        """Returns the first message, with the time `now`, seconds since 1970 in UTC. Each message takes another.

        Raises MikeyRefusedError when AES key wrap does not fit the keys, and MikeyError when called again.
        """
        if self._reader is not None:
            raise MikeyError("the message of this exchange was made before")
        proposal = self.proposal
        timestamp = T(TimestampType.NTP_UTC, ntp_timestamp(now))
        if self._previous is not None and not is_later(timestamp.value, self._previous.timestamp.value):
            raise MikeyError("an update needs a later time than the exchange before")
        derivation, rand = self._derivation()
        header = Header(
            proposal.mode.request,
            derivation.csb_id,
            SrtpIdMap(proposal.streams),
            proposal.verification or proposal.mode.always_answered,
            proposal.prf,
        )
        policies = tuple(
            policy_payload(one, number, proposal.key_derivation_rate)
            for number, one in enumerate(proposal.srtp_profiles)
        )
        front: list[Payload] = [timestamp, *rand]
        if proposal.include_identities:
            front.append(self.ourselves.identity)
        if proposal.mode.signs:
            front += certificate_payloads(self.ourselves)
        if proposal.include_identities:
            front.append(self.peer.identity)
        front += policies
        if proposal.sdp_ids:
            front.append(GeneralExtension(ExtensionType.SDP_IDS, ";".join(proposal.sdp_ids).encode()))
        pending = CryptoSessionBundle(
            mode=proposal.mode,
            profile=self.profile,
            derivation=derivation,
            cs_id_map=header.cs_id_map,
            policies=policies,
            keys=self._previous.keys if self._previous else (),
            initiator=self.ourselves.identity,
            responder=self.peer.identity,
            timestamp=timestamp,
            envelope_key_cached=bool(self._previous and self._previous.envelope_key_cached),
        )
        raw, pending, dh_key = self._finish(header, tuple(front), pending, now)
        self._reader = ResponseReader(self.ourselves, self.peer, pending, dh_key, self.proposal.rekey)
        if not header.v:
            self.bundle = _released(pending)
        if self._replay_cache is not None:
            self._replay_cache.remember(authenticated_part(Message.parse(raw), raw), timestamp, now)
        return raw

    def receive(self, data: bytes, now: float) -> CryptoSessionBundle:
        """Reads the response and returns what was agreed.

        Raises MikeyPeerError for an error message, MikeyParseError and MikeyRefusedError for a response that
        is not acceptable, and MikeyError when the exchange is over. Only an authenticated response or error ends
        it; after anything else it still waits.
        """
        if self._reader is None:
            raise MikeyError("no message was sent")
        if self._over or self.bundle is not None:
            raise MikeyError("the exchange is over")
        try:
            self.bundle = _released(self._reader.read(data, now))
        except MikeyPeerError as error:
            self._over = error.authenticated
            raise
        return self.bundle

    def _derivation(self) -> tuple[KeyDerivation, tuple[Rand, ...]]:
        """CSB ID and RAND: new ones, or for an update those of the bundle, without a RAND to send."""
        if self._previous is not None:
            return replace(self._previous.derivation, function=self.proposal.prf), ()
        csb_id = int.from_bytes(self._random_bytes(4))
        while csb_id in self._csb_ids_in_use:
            csb_id = int.from_bytes(self._random_bytes(4))
        rand = self._random_bytes(_RAND_LENGTH)
        return KeyDerivation(self.proposal.prf, csb_id, rand), (Rand(rand),)

    def _finish(
        self, header: Header, front: tuple[Payload, ...], pending: CryptoSessionBundle, now: float
    ) -> tuple[bytes, CryptoSessionBundle, DhKey | None]:
        """Appends what the mode has at the end."""
        match self.proposal.mode:
            case Mode.PSK:
                return *self._psk(header, front, pending), None
            case Mode.PUBLIC_KEY:
                return *self._public_key(header, front, pending, now), None
            case Mode.RSA_R:
                return self._sign(header, front), pending, None
            case Mode.DH_SIGN:
                dh_key, dh = self._dh()
                return self._sign(header, front + dh), pending, dh_key
            case Mode.DHHMAC:
                dh_key, dh = self._dh()
                keys = self._pre_shared(pending)
                kemac = Kemac(EncryptionAlgorithm.NULL, SecretBytes(b""), self.proposal.mac)
                raw = seal_with_kemac(header, front + dh, kemac, keys)
                return raw, replace(pending, message_key=keys.key), dh_key

    def _psk(
        self, header: Header, front: tuple[Payload, ...], pending: CryptoSessionBundle
    ) -> tuple[bytes, CryptoSessionBundle]:
        keys = self._pre_shared(pending)
        kemac, key_data = self._kemac(keys, pending.timestamp, ())
        raw = seal_with_kemac(header, front, kemac, keys)
        return raw, replace(pending, keys=key_data or pending.keys, message_key=keys.key)

    def _public_key(
        self, header: Header, front: tuple[Payload, ...], pending: CryptoSessionBundle, now: float
    ) -> tuple[bytes, CryptoSessionBundle]:
        certificate = self.peer.certificate
        if certificate is None:
            raise MikeyRefusedError(ErrorNumber.INVALID_CERT, "the responder's certificate is needed")
        envelope_key = SecretBytes(self._random_bytes(ENVELOPE_KEY_LENGTH))
        keys = MessageKeys(pending.derivation, envelope_key)
        kemac, key_data = self._kemac(keys, pending.timestamp, (self.ourselves.identity,))
        public_key = known_public_key(self.peer, now, encrypting=True)
        pke = Pke(self.proposal.envelope_key_cache, encrypt_envelope_key(public_key, envelope_key))
        end = (seal_kemac(kemac, keys), certificate_hash(certificate), pke)
        cached = self.proposal.envelope_key_cache is not EnvelopeKeyCache.NO_CACHE
        agreed = replace(pending, keys=key_data or pending.keys, message_key=envelope_key, envelope_key_cached=cached)
        return self._sign(header, front + end), agreed

    def _kemac(self, keys: MessageKeys, timestamp: T, before: tuple[Id, ...]) -> tuple[Kemac, tuple[KeyData, ...]]:
        """KEMAC without its MAC, and the keys in it."""
        proposal = self.proposal
        key_data: tuple[KeyData, ...] = ()
        if proposal.rekey:
            key_data = proposal.keys or (new_tgk(self._random_bytes, proposal.encryption, proposal.validity, before),)
        data = serialize_chain((*before, *key_data))
        encrypted = keys.encrypt(proposal.encryption, timestamp.value64, data)
        return Kemac(proposal.encryption, SecretBytes(encrypted), proposal.mac), key_data

    def _dh(self) -> tuple[DhKey | None, tuple[Dh, ...]]:
        if not self.proposal.rekey:
            return None, ()
        key = DhKey.generate(self.proposal.dh_group, self._random_bytes)
        return key, (Dh(key.group, key.value, self.proposal.validity),)

    def _sign(self, header: Header, payloads: tuple[Payload, ...]) -> bytes:
        proposal = self.proposal
        key = signing_key(self.ourselves)
        return seal_with_signature(header, payloads, key, proposal.signature_type, proposal.signature_hash)

    def _pre_shared(self, pending: CryptoSessionBundle) -> MessageKeys:
        """The peer's pre-shared key; for an update the bundle's, which may be a cached envelope key."""
        previous = self._previous
        key = self.peer.pre_shared_key
        if previous is not None and (previous.envelope_key_cached or previous.mode in (Mode.PSK, Mode.DHHMAC)):
            key = previous.message_key
        if self.profile.null_over_tls:
            key = SecretBytes(b"")
        elif key is None or not len(key):
            raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, "there is no key that is shared with the peer")
        return MessageKeys(pending.derivation, key)


def _released(bundle: CryptoSessionBundle) -> CryptoSessionBundle:
    """The bundle without an envelope key that may not be cached (6.3)."""
    if bundle.mode in (Mode.PUBLIC_KEY, Mode.RSA_R) and not bundle.envelope_key_cached:
        return replace(bundle, message_key=None)
    return bundle


def _check_proposal(proposal: Proposal, profile: MikeyProfile) -> None:
    """The profile binds what we send ourselves, too."""
    null_mac = proposal.mac is MacAlgorithm.NULL
    wrapped = proposal.mode is Mode.PUBLIC_KEY and proposal.encryption is EncryptionAlgorithm.AES_KW_128
    checks = (
        (proposal.mode in profile.modes, ErrorNumber.INVALID_DT, "mode"),
        (proposal.prf in profile.prfs, ErrorNumber.INVALID_PRF, "PRF"),
        (proposal.encryption in profile.encryption, ErrorNumber.INVALID_EA, "encryption algorithm"),
        (proposal.mac in profile.macs or (null_mac and wrapped), ErrorNumber.INVALID_MAC, "MAC algorithm"),
        (not proposal.mode.uses_dh or proposal.dh_group in profile.dh_groups, ErrorNumber.INVALID_DH, "group"),
        (bool(proposal.srtp_profiles) or not proposal.streams, ErrorNumber.INVALID_SP, "list of SRTP profiles"),
        (proposal.signature_hash in profile.signature_hashes, ErrorNumber.INVALID_HA, "hash function"),
    )
    for accepted, error_no, what in checks:
        if not accepted:
            raise MikeyRefusedError(error_no, f"the profile does not have the {what} of the proposal")
    if any(one.policy_no >= len(proposal.srtp_profiles) for one in proposal.streams):
        raise MikeyRefusedError(ErrorNumber.INVALID_SP, "a stream has a policy number that is not proposed")
