"""What both sides share: modes, what is acceptable, MACs and signatures over messages (RFC 3830 3, 5.2)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from enum import Enum

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from srtp.field_checks import check_fields

from ..errors import MikeyRefusedError
from .certificates import sign
from .code_points import (
    MAC_LENGTHS,
    DataType,
    DhGroup,
    EncryptionAlgorithm,
    ErrorNumber,
    HashFunction,
    MacAlgorithm,
    PrfFunction,
    SignatureType,
)
from .header import Header
from .key_transport import MessageKeys
from .message import Message, Payload
from .payloads import Id, Kemac, Sign, T, V


class Mode(Enum):
    """How the keys are agreed: the data types of its first message and of its response, and who makes the key."""

    PSK = (DataType.PSK, DataType.PSK_VERIFICATION)
    PUBLIC_KEY = (DataType.PUBLIC_KEY, DataType.PUBLIC_KEY_VERIFICATION)
    DH_SIGN = (DataType.DH_INIT, DataType.DH_RESP)
    DHHMAC = (DataType.DHHMAC_INIT, DataType.DHHMAC_RESP)
    RSA_R = (DataType.RSA_R_INIT, DataType.RSA_R_RESP)

    @property
    def request(self) -> DataType:
        return self.value[0]

    @property
    def response(self) -> DataType:
        return self.value[1]

    @property
    def signs(self) -> bool:
        """Whether the initiator proves itself by a signature."""
        return self in (Mode.PUBLIC_KEY, Mode.DH_SIGN, Mode.RSA_R)

    @property
    def uses_dh(self) -> bool:
        """Whether the TGK is a Diffie-Hellman key."""
        return self in (Mode.DH_SIGN, Mode.DHHMAC)

    @property
    def always_answered(self) -> bool:
        """Whether a response is mandatory, whatever the V flag says."""
        return self.uses_dh or self is Mode.RSA_R


@dataclass(frozen=True, slots=True)
class MikeyProfile:
    """What is acceptable. The strict one refuses whatever is not authenticated; algorithms are listed by number.

    With `null_over_tls` messages are PSK messages without encryption and MAC, as RTSP and ONVIF have them: their
    protection is all the transport's. They need no RAND, their T is not looked at, a TEK may hold its salt, and
    policies are read with GStreamer's deviations.
    """

    modes: frozenset[Mode] = frozenset(Mode)
    prfs: tuple[PrfFunction, ...] = (PrfFunction.MIKEY_1, PrfFunction.HMAC_SHA_256)
    encryption: tuple[EncryptionAlgorithm, ...] = (
        EncryptionAlgorithm.AES_CM_128,
        EncryptionAlgorithm.AES_CM_256,
        EncryptionAlgorithm.AES_KW_128,
    )
    macs: tuple[MacAlgorithm, ...] = (MacAlgorithm.HMAC_SHA_1_160, MacAlgorithm.HMAC_SHA_256_256)
    dh_groups: tuple[DhGroup, ...] = (DhGroup.OAKLEY_5, DhGroup.OAKLEY_2)
    signature_hashes: tuple[HashFunction, ...] = (HashFunction.SHA_256, HashFunction.SHA_1)
    allow_null_srtp: bool = False
    null_over_tls: bool = False

    def __post_init__(self) -> None:
        check_fields(self)


STRICT = MikeyProfile()
NULL_OVER_TLS = MikeyProfile(
    modes=frozenset((Mode.PSK,)),
    encryption=(EncryptionAlgorithm.NULL,),
    macs=(MacAlgorithm.NULL,),
    null_over_tls=True,
)


@dataclass(frozen=True, slots=True)
class Verification:
    """What follows a response in its MAC or signature: the two identities and the timestamp (5.2)."""

    initiator: Id
    responder: Id
    timestamp: T

    def serialize(self) -> bytes:
        return self.initiator.data + self.responder.data + self.timestamp.value


def seal_with_kemac(header: Header, payloads: tuple[Payload, ...], kemac: Kemac, keys: MessageKeys) -> bytes:
    """Returns the message with KEMAC at its end, its MAC over all before it (6.2). `kemac` comes without a MAC."""
    algorithm = kemac.mac_algorithm
    length = MAC_LENGTHS[algorithm]
    raw = _without_end(Message(header, (*payloads, replace(kemac, mac=bytes(length)))).serialize(), length)
    return raw + keys.mac(algorithm, raw)


def seal_with_v(
    header: Header, payloads: tuple[Payload, ...], algorithm: MacAlgorithm, keys: MessageKeys, behind: Verification
) -> bytes:
    """Returns the message with V at its end, its MAC also over identities and timestamp (5.2, 6.9)."""
    length = MAC_LENGTHS[algorithm]
    raw = _without_end(Message(header, (*payloads, V(algorithm, bytes(length)))).serialize(), length)
    return raw + keys.mac(algorithm, raw + behind.serialize())


def seal_with_signature(
    header: Header,
    payloads: tuple[Payload, ...],
    key: RSAPrivateKey,
    kind: SignatureType,
    hash_function: HashFunction,
    behind: Verification | None = None,
) -> bytes:
    """Returns the message with SIGN at its end (5.2).

    In RSA-R's response identities and timestamp follow, and SIGN itself is left out altogether (RFC 4738 3.6).
    """
    length = key.key_size // 8
    raw = _without_end(Message(header, (*payloads, Sign(kind, bytes(length)))).serialize(), length)
    covered = raw if behind is None else raw[:-2] + behind.serialize()
    return raw + sign(key, kind, hash_function, covered)


def seal_kemac(kemac: Kemac, keys: MessageKeys) -> Kemac:
    """Returns a KEMAC of the public key modes, its MAC over itself with a next payload field of zero (6.2)."""
    return replace(kemac, mac=keys.mac(kemac.mac_algorithm, b"\0" + kemac.authenticated_body()))


def authenticated_part(message: Message, raw: bytes) -> bytes:
    """The bytes of a message without the MAC or signature that ends it."""
    last = message.payloads[-1] if message.payloads else None
    match last:
        case Kemac():
            return _without_end(raw, len(last.mac))
        case V():
            return _without_end(raw, len(last.ver_data))
        case Sign():
            return _without_end(raw, len(last.signature))
        case _:
            return raw


def check_mac(keys: MessageKeys, algorithm: MacAlgorithm, covered: bytes, mac: bytes) -> None:
    """Compares a MAC in constant time; raises MikeyRefusedError (AUTH_FAILURE) when it is another."""
    if not hmac.compare_digest(keys.mac(algorithm, covered), mac):
        raise MikeyRefusedError(ErrorNumber.AUTH_FAILURE, "the MAC does not verify")


def accepted_mac(number: int, profile: MikeyProfile) -> MacAlgorithm:
    """Returns the MAC algorithm when the profile has it; raises MikeyRefusedError (INVALID_MAC)."""
    if number not in profile.macs:
        raise MikeyRefusedError(ErrorNumber.INVALID_MAC, f"the MAC algorithm {number} is not accepted")
    return MacAlgorithm(number)


def accepted_encryption(number: int, profile: MikeyProfile) -> EncryptionAlgorithm:
    """Returns the encryption algorithm when the profile has it; raises MikeyRefusedError (INVALID_EA)."""
    if number not in profile.encryption:
        raise MikeyRefusedError(ErrorNumber.INVALID_EA, f"the encryption algorithm {number} is not accepted")
    return EncryptionAlgorithm(number)


def accepted_prf(number: int, profile: MikeyProfile) -> PrfFunction:
    """Returns the PRF when the profile has it; raises MikeyRefusedError (INVALID_PRF)."""
    if number not in profile.prfs:
        raise MikeyRefusedError(ErrorNumber.INVALID_PRF, f"the PRF {number} is not accepted")
    return PrfFunction(number)


def accepted_group(number: int, profile: MikeyProfile) -> DhGroup:
    """Returns the Diffie-Hellman group when the profile has it; raises MikeyRefusedError (INVALID_DH)."""
    if number not in profile.dh_groups:
        raise MikeyRefusedError(ErrorNumber.INVALID_DH, f"the Diffie-Hellman group {number} is not accepted")
    return DhGroup(number)


def _without_end(raw: bytes, length: int) -> bytes:
    return raw[: len(raw) - length]
