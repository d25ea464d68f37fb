"""SRTP policies: the parameters of an SP payload, and what `srtp` profile they are (RFC 3830 6.10.1, RFC 7714 15)."""

from __future__ import annotations

from collections.abc import Mapping

from srtp import Profile

from ..errors import MikeyRefusedError
from .code_points import (
    ErrorNumber,
    SecurityProtocol,
    SrtpAuthentication,
    SrtpEncryption,
    SrtpParameter,
    SrtpPrf,
    name_of,
)
from .payloads import PolicyParameter, Sp

_P = SrtpParameter
# Cipher, length of the master key, length of the SRTP tag; HMAC-SHA-1 unless the tag is the cipher's.
_PROFILE_NAMES = {
    (SrtpEncryption.AES_CM, 16, 10): "AES_CM_128_HMAC_SHA1_80",
    (SrtpEncryption.AES_CM, 16, 4): "AES_CM_128_HMAC_SHA1_32",
    (SrtpEncryption.AES_CM, 24, 10): "AES_192_CM_HMAC_SHA1_80",
    (SrtpEncryption.AES_CM, 24, 4): "AES_192_CM_HMAC_SHA1_32",
    (SrtpEncryption.AES_CM, 32, 10): "AES_256_CM_HMAC_SHA1_80",
    (SrtpEncryption.AES_CM, 32, 4): "AES_256_CM_HMAC_SHA1_32",
    (SrtpEncryption.AES_F8, 16, 10): "F8_128_HMAC_SHA1_80",
    (SrtpEncryption.AES_F8, 16, 4): "F8_128_HMAC_SHA1_32",
    (SrtpEncryption.AES_GCM, 16, 16): "AEAD_AES_128_GCM",
    (SrtpEncryption.AES_GCM, 32, 16): "AEAD_AES_256_GCM",
    (SrtpEncryption.NULL, 16, 10): "NULL_HMAC_SHA1_80",
    (SrtpEncryption.NULL, 16, 4): "NULL_HMAC_SHA1_32",
}
_LENGTH_OF_HMAC_KEY = 20
_SRTCP_TAG_LENGTH = 10
MAX_KEY_DERIVATION_RATE = 1 << 24


def policy_payload(profile: Profile, policy_no: int = 0, key_derivation_rate: int = 0) -> Sp:
    """Returns the SP payload that asks for a profile, with every parameter that it fixes, and a rate other than 0."""
    cipher, key_length, tag_length = next(one for one, name in _PROFILE_NAMES.items() if name == profile.name)
    aead = cipher is SrtpEncryption.AES_GCM
    values: dict[SrtpParameter, int] = {
        _P.ENCRYPTION_ALGORITHM: cipher,
        _P.SESSION_ENCR_KEY_LENGTH: key_length,
        _P.AUTHENTICATION_ALGORITHM: SrtpAuthentication.NULL if aead else SrtpAuthentication.HMAC_SHA_1,
    }
    if not aead:
        values[_P.SESSION_AUTH_KEY_LENGTH] = _LENGTH_OF_HMAC_KEY
    values |= {
        _P.SESSION_SALT_KEY_LENGTH: profile.master_salt_length,
        _P.SRTP_PRF: SrtpPrf.AES_CM,
        _P.SRTP_ENCRYPTION: int(profile.encrypts),
        _P.SRTCP_ENCRYPTION: int(profile.encrypts),
        # With an AEAD the cipher authenticates, and there is no other tag (RFC 7714 13.2).
        _P.SRTP_AUTHENTICATION: 0 if aead else 1,
    }
    if aead:
        values[_P.AEAD_TAG_LENGTH] = tag_length
    else:
        values[_P.AUTHENTICATION_TAG_LENGTH] = tag_length
    parameters = tuple(PolicyParameter(kind, bytes((value,))) for kind, value in values.items())
    if key_derivation_rate:
        rate = key_derivation_rate.to_bytes(-(-key_derivation_rate.bit_length() // 8))
        parameters += (PolicyParameter(_P.KEY_DERIVATION_RATE, rate),)
    return Sp(policy_no, SecurityProtocol.SRTP, parameters)


def key_derivation_rate_of(policy: Sp) -> int:
    """Returns the key derivation rate that a policy asks for, 0 where it says none (RFC 3711 4.3.1).

    Raises MikeyRefusedError (INVALID_SPPAR) for a rate that is neither 0 nor a power of two up to 2^24.
    """
    rate = _values(policy).get(_P.KEY_DERIVATION_RATE, 0)
    if rate > MAX_KEY_DERIVATION_RATE or rate & (rate - 1):
        raise _refused(_P.KEY_DERIVATION_RATE, rate)
    return rate


def profile_of(policy: Sp, *, allow_null: bool = False, lenient: bool = False) -> Profile:
    """Returns the profile that a policy asks for; what it leaves out has SRTP's default.

    NULL encryption, and encryption or authentication switched off, need `allow_null`. A `lenient` reading takes
    the session authentication key length for the tag's length where it is 4 or 10, as GStreamer writes it.

    Raises MikeyRefusedError (INVALID_SP or INVALID_SPPAR), naming the parameter, for another protocol than
    SRTP, an unknown or repeated parameter, and what `srtp` has no profile for.
    """
    if policy.prot_type != SecurityProtocol.SRTP:
        raise MikeyRefusedError(ErrorNumber.INVALID_SP, f"the security protocol {policy.prot_type} is not SRTP")
    values = _values(policy)
    if values.get(_P.SRTP_PRF, SrtpPrf.AES_CM) != SrtpPrf.AES_CM:
        raise _refused(_P.SRTP_PRF, values[_P.SRTP_PRF])
    for kind in (_P.FEC_ORDER, _P.SRTP_PREFIX_LENGTH, _P.ROC_TRANSMISSION_RATE):
        if values.get(kind, 0):
            raise _refused(kind, values[kind])
    cipher = _cipher(values)
    key_length = values.get(_P.SESSION_ENCR_KEY_LENGTH, 16)
    aead = cipher == SrtpEncryption.AES_GCM
    tag_length = values.get(_P.AEAD_TAG_LENGTH, 16) if aead else _hmac_tag(values, lenient)
    name = _PROFILE_NAMES.get((cipher, key_length, tag_length), "")
    profile = Profile.__members__.get(name)
    if profile is None:
        text = f"{cipher.name} with a key of {key_length} and a tag of {tag_length} bytes is not supported"
        raise MikeyRefusedError(ErrorNumber.INVALID_SPPAR, text)
    if cipher is SrtpEncryption.NULL and not allow_null:
        raise _refused(_P.ENCRYPTION_ALGORITHM, 0)
    if values.get(_P.SESSION_SALT_KEY_LENGTH, profile.master_salt_length) != profile.master_salt_length:
        raise _refused(_P.SESSION_SALT_KEY_LENGTH, values[_P.SESSION_SALT_KEY_LENGTH])
    return profile


def _values(policy: Sp) -> dict[int, int]:
    values: dict[int, int] = {}
    for one in policy.parameters:
        if one.kind in values or name_of(SrtpParameter, one.kind) == "unknown" or not 1 <= len(one.value) <= 8:
            raise _refused(one.kind, int.from_bytes(one.value[:8]))
        values[one.kind] = int.from_bytes(one.value)
    return values


def _cipher(values: Mapping[int, int]) -> SrtpEncryption:
    number = values.get(_P.ENCRYPTION_ALGORITHM, SrtpEncryption.AES_CM)
    if name_of(SrtpEncryption, number) == "unknown":
        raise _refused(_P.ENCRYPTION_ALGORITHM, number)
    switches = (values.get(_P.SRTP_ENCRYPTION, 1), values.get(_P.SRTCP_ENCRYPTION, 1))
    if number == SrtpEncryption.NULL or switches == (0, 0):
        # An AEAD without encryption is another algorithm, which RFC 7714 does not have.
        if number == SrtpEncryption.AES_GCM:
            raise _refused(_P.SRTP_ENCRYPTION, 0)
        return SrtpEncryption.NULL
    for kind, value in zip((_P.SRTP_ENCRYPTION, _P.SRTCP_ENCRYPTION), switches, strict=True):
        if value != 1:
            raise _refused(kind, value)
    return SrtpEncryption(number)


def _hmac_tag(values: Mapping[int, int], lenient: bool) -> int:
    """The length of the SRTP tag. A parameter for SRTP or SRTCP alone goes before the one for both (RFC 4771 5)."""
    if values.get(_P.SRTP_AUTHENTICATION, 1) != 1:
        raise _refused(_P.SRTP_AUTHENTICATION, values[_P.SRTP_AUTHENTICATION])
    for kind in (_P.AUTHENTICATION_ALGORITHM, _P.SRTP_AUTH_ALGORITHM, _P.SRTCP_AUTH_ALGORITHM):
        if values.get(kind, SrtpAuthentication.HMAC_SHA_1) != SrtpAuthentication.HMAC_SHA_1:
            raise _refused(kind, values[kind])
    key_length = values.get(_P.SESSION_AUTH_KEY_LENGTH, _LENGTH_OF_HMAC_KEY)
    swapped = lenient and key_length in (4, 10)
    for kind in (_P.SESSION_AUTH_KEY_LENGTH, _P.SRTP_AUTH_KEY_LENGTH, _P.SRTCP_AUTH_KEY_LENGTH):
        length = values.get(kind, _LENGTH_OF_HMAC_KEY)
        if length != _LENGTH_OF_HMAC_KEY and not (swapped and kind is _P.SESSION_AUTH_KEY_LENGTH):
            raise _refused(kind, length)
    if values.get(_P.SRTCP_AUTH_TAG_LENGTH, _SRTCP_TAG_LENGTH) != _SRTCP_TAG_LENGTH:
        raise _refused(_P.SRTCP_AUTH_TAG_LENGTH, values[_P.SRTCP_AUTH_TAG_LENGTH])
    default = key_length if swapped else 10
    return values.get(_P.SRTP_AUTH_TAG_LENGTH, values.get(_P.AUTHENTICATION_TAG_LENGTH, default))


def _refused(kind: int, value: int) -> MikeyRefusedError:
    text = f"the policy parameter {kind} ({name_of(SrtpParameter, kind)}) of value {value} is not accepted"
    return MikeyRefusedError(ErrorNumber.INVALID_SPPAR, text)
