"""Reads what comes back to an initiator: the verification message or response, or an error message."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NoReturn

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ..errors import MikeyPeerError, MikeyRefusedError
from .certificates import decrypt_envelope_key, public_key_of, verify
from .code_points import DataType, EnvelopeKeyCache, ErrorNumber, ExtensionType, KeyType
from .crypto_session_bundle import CryptoSessionBundle
from .diffie_hellman import DhKey
from .exchange import Mode, Verification, accepted_mac, authenticated_part, check_mac
from .header import CsIdMap, SrtpIdMap
from .key_data import KeyData
from .key_transport import MessageKeys
from .message import Message
from .message_checks import identities, last_payload, open_public_key_kemac, required, timestamp_of
from .parties import Ourselves, Peer
from .payloads import Dh, Err, GeneralExtension, Kemac, Pke, Rand, Sign, Sp, V


@dataclass(frozen=True, slots=True)
class ResponseReader:
    """Knows what was sent: `pending` is the bundle as far as it stands, `dh_key` our Diffie-Hellman key."""

    ourselves: Ourselves
    peer: Peer
    pending: CryptoSessionBundle
    dh_key: DhKey | None
    rekey: bool

    def read(self, data: bytes, now: float) -> CryptoSessionBundle:
        """Returns the agreed bundle; raises MikeyPeerError, MikeyParseError, MikeyRefusedError as Initiator.receive."""
        message = Message.parse(data)
        if message.header.csb_id != self.pending.csb_id:
            raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, "the response is of another bundle")
        if timestamp_of(message) != self.pending.timestamp:
            raise MikeyRefusedError(ErrorNumber.INVALID_TS, "the response has not the timestamp of our message")
        if message.header.data_type == DataType.ERROR:
            self._raise_error(message, data, now)
        if message.header.data_type != self.pending.mode.response:
            text = f"a message of type {message.header.data_type} is no response to {self.pending.mode.name}"
            raise MikeyRefusedError(ErrorNumber.INVALID_DT, text)
        if message.header.prf != self.pending.derivation.function:
            raise MikeyRefusedError(ErrorNumber.INVALID_PRF, "the response names another PRF")
        self._check_identities(message)
        match self.pending.mode:
            case Mode.PSK | Mode.PUBLIC_KEY:
                self._check_v(message, data)
                agreed = self.pending
            case Mode.DHHMAC:
                self._check_dhhmac(message, data)
                agreed = replace(self.pending, keys=self._dh_keys(message))
            case Mode.DH_SIGN:
                self._check_signature(message, data, now)
                agreed = replace(self.pending, keys=self._dh_keys(message))
            case Mode.RSA_R:
                self._check_signature(message, data, now)
                agreed = self._rsa_r(message)
        agreed = replace(agreed, cs_id_map=self._agreed_map(message.header.cs_id_map))
        # What cannot be used is found now, not when media start.
        _ = agreed.sessions
        return agreed

    @property
    def _verification(self) -> Verification:
        return Verification(self.pending.initiator, self.pending.responder, self.pending.timestamp)

    def _check_identities(self, message: Message) -> None:
        initiator, responder = identities(message, self.ourselves.identity, response=True)
        if initiator not in (None, self.pending.initiator) or responder not in (None, self.pending.responder):
            raise MikeyRefusedError(ErrorNumber.INVALID_ID, "the response is from, or for, somebody else")
        if initiator is None and self.pending.mode.uses_dh:
            raise MikeyRefusedError(ErrorNumber.INVALID_ID, "the response does not say whom it answers")

    def _message_keys(self) -> MessageKeys:
        return required(self.pending.message_keys, "key that is shared with us")

    def _check_v(self, message: Message, raw: bytes) -> None:
        v = last_payload(message, V)
        algorithm = accepted_mac(v.auth_alg, self.pending.profile)
        covered = authenticated_part(message, raw) + self._verification.serialize()
        check_mac(self._message_keys(), algorithm, covered, v.ver_data)

    def _check_dhhmac(self, message: Message, raw: bytes) -> None:
        kemac = last_payload(message, Kemac)
        algorithm = accepted_mac(kemac.mac_algorithm, self.pending.profile)
        check_mac(self._message_keys(), algorithm, authenticated_part(message, raw), kemac.mac)
        if len(kemac.data):
            raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, "KEMAC of DHHMAC holds data")

    def _check_signature(self, message: Message, raw: bytes, now: float) -> None:
        signature = last_payload(message, Sign)
        key = public_key_of(message, self.peer, now)
        covered = authenticated_part(message, raw)
        if message.header.data_type == DataType.RSA_R_RESP:
            # RFC 4738 3.6 leaves SIGN out, RFC 3830 5.2 only the signature; both are found.
            behind = self._verification.serialize()
            verify(key, signature, self.pending.profile.signature_hashes, covered[:-2] + behind, covered + behind)
        else:
            verify(key, signature, self.pending.profile.signature_hashes, covered)

    def _dh_keys(self, message: Message) -> tuple[KeyData, ...]:
        values = message.all(Dh)
        if self.dh_key is None:
            if values:
                raise MikeyRefusedError(ErrorNumber.INVALID_DH, "the response to an update has unasked keys")
            return self.pending.keys
        if len(values) != 2:
            raise MikeyRefusedError(ErrorNumber.INVALID_DH, "the response has not the two Diffie-Hellman values")
        theirs, ours = values
        if (ours.group, ours.value) != (self.dh_key.group, self.dh_key.value) or theirs.group != ours.group:
            raise MikeyRefusedError(ErrorNumber.INVALID_DH, "the response is not to our Diffie-Hellman value")
        if theirs.value == ours.value:
            raise MikeyRefusedError(ErrorNumber.INVALID_DH, "our Diffie-Hellman value came back to us")
        return (KeyData(KeyType.TGK, self.dh_key.tgk(theirs.value), None, ours.validity),)

    def _rsa_r(self, message: Message) -> CryptoSessionBundle:
        if message.only(Rand) is not None:
            raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, "both sides sent a RAND")
        if any(one.kind == ExtensionType.CSB_ID for one in message.all(GeneralExtension)):
            raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, "a group's CSB ID came in an exchange between two")
        chosen = message.all(Sp)
        if not chosen or any(one not in self.pending.policies for one in chosen):
            raise MikeyRefusedError(ErrorNumber.INVALID_SP, "the response has not chosen from our policies")
        pke = required(message.only(Pke), "PKE")
        private_key: RSAPrivateKey = required(self.ourselves.private_key, "private key of ours")
        envelope_key = decrypt_envelope_key(private_key, pke.data)
        keys = MessageKeys(self.pending.derivation, envelope_key)
        profile = self.pending.profile
        key_data = open_public_key_kemac(message, keys, self.pending.timestamp, self.pending.responder, profile)
        cached = pke.cache in (EnvelopeKeyCache.CACHE, EnvelopeKeyCache.CACHE_FOR_CSB)
        return replace(
            self.pending,
            keys=key_data or self.pending.keys,
            policies=chosen,
            message_key=envelope_key,
            envelope_key_cached=cached,
        )

    def _agreed_map(self, theirs: CsIdMap) -> CsIdMap:
        """The responder's map: ours with the SSRCs that we left open. One without entries changes nothing."""
        ours = self.pending.cs_id_map
        if not isinstance(ours, SrtpIdMap) or not theirs.count:
            return ours
        if not isinstance(theirs, SrtpIdMap) or theirs.count != ours.count:
            raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, "the response has another map of crypto sessions")
        chooses = self.pending.mode is Mode.RSA_R
        for mine, one in zip(ours.entries, theirs.entries, strict=True):
            if mine.ssrc not in (0, one.ssrc) or (mine.policy_no != one.policy_no and not chooses):
                raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, "the response changes a crypto session of ours")
        return theirs

    def _raise_error(self, message: Message, raw: bytes, now: float) -> NoReturn:
        numbers = tuple(one.error_no for one in message.all(Err))
        if not numbers:
            raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, "an error message names no error")
        authenticated = isinstance(message.payloads[-1], V | Sign | Kemac)
        if authenticated:
            match message.payloads[-1]:
                case V():
                    self._check_v(message, raw)
                case Kemac():
                    self._check_dhhmac(message, raw)
                case _:
                    self._check_signature(message, raw, now)
        raise MikeyPeerError(numbers, message.all(Sp), authenticated=authenticated)
