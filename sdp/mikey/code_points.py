"""The numbers of MIKEY's fields, by the names of the RFCs that give them.

RFC 3830 6; RFC 4563 (Empty map, Key ID), RFC 4650 (DHHMAC), RFC 4738 (RSA-R), RFC 4771 (RCC), RFC 5669 (SEED),
RFC 6043 (TICKET), RFC 6267 (IBAKE), RFC 6509 (SAKKE, ECCSI), RFC 7714 (AES-GCM), RFC 8269 (ARIA).
"""

from __future__ import annotations

from enum import IntEnum

MIKEY_VERSION = 1


class DataType(IntEnum):
    """What message it is (RFC 3830 6.1)."""

    PSK = 0
    PSK_VERIFICATION = 1
    PUBLIC_KEY = 2
    PUBLIC_KEY_VERIFICATION = 3
    DH_INIT = 4
    DH_RESP = 5
    ERROR = 6
    DHHMAC_INIT = 7
    DHHMAC_RESP = 8
    RSA_R_INIT = 9
    RSA_R_RESP = 10
    REQUEST_INIT_PSK = 11
    REQUEST_INIT_PK = 12
    REQUEST_RESP = 13
    TRANSFER_INIT = 14
    TRANSFER_RESP = 15
    RESOLVE_INIT_PSK = 16
    RESOLVE_INIT_PK = 17
    RESOLVE_RESP = 18
    REQUEST_KEY_INIT_PSK = 19
    REQUEST_KEY_INIT = 20
    REQUEST_KEY_RESP = 21
    I_MESSAGE_1 = 22
    R_MESSAGE_1 = 23
    I_MESSAGE_2 = 24
    R_MESSAGE_2 = 25
    SAKKE = 26


class PayloadType(IntEnum):
    """What payload comes next (RFC 3830 6.1)."""

    LAST = 0
    KEMAC = 1
    PKE = 2
    DH = 3
    SIGN = 4
    T = 5
    ID = 6
    CERT = 7
    CHASH = 8
    V = 9
    SP = 10
    RAND = 11
    ERR = 12
    TR = 13
    IDR = 14
    RANDR = 15
    TP = 16
    TICKET = 17
    KEY_DATA = 20
    GENERAL_EXTENSION = 21
    IBAKE = 22
    ESK = 23
    SK = 24
    ECCPT = 25
    SAKKE = 26


class PrfFunction(IntEnum):
    MIKEY_1 = 0
    HMAC_SHA_256 = 1


class MapType(IntEnum):
    """How the crypto sessions are mapped to the streams (RFC 3830 6.1, RFC 4563 5, RFC 6043 6.1)."""

    SRTP_ID = 0
    EMPTY = 1
    GENERIC_ID = 2


class EncryptionAlgorithm(IntEnum):
    """What KEMAC is encrypted with (RFC 3830 6.2)."""

    NULL = 0
    AES_CM_128 = 1
    AES_KW_128 = 2
    AES_CM_256 = 3


class MacAlgorithm(IntEnum):
    """What KEMAC and V are authenticated with (RFC 3830 6.2)."""

    NULL = 0
    HMAC_SHA_1_160 = 1
    HMAC_SHA_256_256 = 2


class EnvelopeKeyCache(IntEnum):
    NO_CACHE = 0
    CACHE = 1
    CACHE_FOR_CSB = 2


class DhGroup(IntEnum):
    OAKLEY_5 = 0
    OAKLEY_1 = 1
    OAKLEY_2 = 2


class SignatureType(IntEnum):
    RSA_PKCS1_1_5 = 0
    RSA_PSS = 1
    ECCSI = 2


class TimestampType(IntEnum):
    NTP_UTC = 0
    NTP = 1
    COUNTER = 2
    NTP_UTC_32 = 3


class IdType(IntEnum):
    NAI = 0
    URI = 1
    BYTE_STRING = 2


class CertificateType(IntEnum):
    X509V3 = 0
    X509V3_URL = 1
    X509V3_SIGN = 2
    X509V3_ENCR = 3


class HashFunction(IntEnum):
    SHA_1 = 0
    MD5 = 1
    SHA_256 = 2


class SecurityProtocol(IntEnum):
    """What an SP payload is a policy of (RFC 3830 6.10)."""

    SRTP = 0


class SrtpParameter(IntEnum):
    """The parameters of an SRTP policy (RFC 3830 6.10.1, RFC 4771 5, RFC 7714 14.3)."""

    ENCRYPTION_ALGORITHM = 0
    SESSION_ENCR_KEY_LENGTH = 1
    AUTHENTICATION_ALGORITHM = 2
    SESSION_AUTH_KEY_LENGTH = 3
    SESSION_SALT_KEY_LENGTH = 4
    SRTP_PRF = 5
    KEY_DERIVATION_RATE = 6
    SRTP_ENCRYPTION = 7
    SRTCP_ENCRYPTION = 8
    FEC_ORDER = 9
    SRTP_AUTHENTICATION = 10
    AUTHENTICATION_TAG_LENGTH = 11
    SRTP_PREFIX_LENGTH = 12
    ROC_TRANSMISSION_RATE = 13
    SRTP_AUTH_ALGORITHM = 14
    SRTCP_AUTH_ALGORITHM = 15
    SRTP_AUTH_KEY_LENGTH = 16
    SRTCP_AUTH_KEY_LENGTH = 17
    SRTP_AUTH_TAG_LENGTH = 18
    SRTCP_AUTH_TAG_LENGTH = 19
    AEAD_TAG_LENGTH = 20


class SrtpEncryption(IntEnum):
    NULL = 0
    AES_CM = 1
    AES_F8 = 2
    SEED_CTR = 3
    SEED_CCM = 4
    SEED_GCM = 5
    AES_GCM = 6
    ARIA_CTR = 7
    ARIA_GCM = 8


class SrtpAuthentication(IntEnum):
    NULL = 0
    HMAC_SHA_1 = 1
    RCC_M1 = 2
    RCC_M2 = 3
    RCC_M3 = 4


class SrtpPrf(IntEnum):
    AES_CM = 0
    ARIA_CTR = 2


class ErrorNumber(IntEnum):
    """What went wrong (RFC 3830 6.12, RFC 4738 3.9.2, RFC 6043 6.9)."""

    AUTH_FAILURE = 0
    INVALID_TS = 1
    INVALID_PRF = 2
    INVALID_MAC = 3
    INVALID_EA = 4
    INVALID_HA = 5
    INVALID_DH = 6
    INVALID_ID = 7
    INVALID_CERT = 8
    INVALID_SP = 9
    INVALID_SPPAR = 10
    INVALID_DT = 11
    UNSPECIFIED = 12
    UNSUPPORTED_MESSAGE_TYPE = 13
    INVALID_TICKET = 14
    INVALID_TPPAR = 15


class KeyType(IntEnum):
    TGK = 0
    TGK_SALT = 1
    TEK = 2
    TEK_SALT = 3
    GTGK = 4
    GTGK_SALT = 5
    MPK = 6
    K_PR = 7


class KeyValidityType(IntEnum):
    NULL = 0
    SPI = 1
    INTERVAL = 2


class ExtensionType(IntEnum):
    VENDOR_ID = 0
    SDP_IDS = 1
    TESLA_I_KEY = 2
    KEY_ID = 3
    CSB_ID = 4


class KeyIdType(IntEnum):
    """What a key is known by in a Key ID extension (RFC 4563 4)."""

    MBMS_KEY_DOMAIN_ID = 0
    MBMS_SERVICE_KEY_ID = 1
    MBMS_TRAFFIC_KEY_ID = 2


class TimestampRole(IntEnum):
    ISSUE = 1
    START = 2
    END = 3
    REKEYING = 4


class IdRole(IntEnum):
    INITIATOR = 1
    RESPONDER = 2
    KMS = 3
    PRE_SHARED_KEY = 4
    APPLICATION = 5
    INITIATOR_KMS = 6
    RESPONDER_KMS = 7


class RandRole(IntEnum):
    INITIATOR = 1
    RESPONDER = 2
    KMS = 3


# By number, so that unknown ones can be looked up too.
MAC_LENGTHS: dict[int, int] = {MacAlgorithm.NULL: 0, MacAlgorithm.HMAC_SHA_1_160: 20, MacAlgorithm.HMAC_SHA_256_256: 32}
DH_VALUE_LENGTHS: dict[int, int] = {DhGroup.OAKLEY_5: 192, DhGroup.OAKLEY_1: 96, DhGroup.OAKLEY_2: 128}
TIMESTAMP_LENGTHS: dict[int, int] = {
    TimestampType.NTP_UTC: 8,
    TimestampType.NTP: 8,
    TimestampType.COUNTER: 4,
    TimestampType.NTP_UTC_32: 4,
}
HASH_LENGTHS: dict[int, int] = {HashFunction.SHA_1: 20, HashFunction.MD5: 16, HashFunction.SHA_256: 32}


def name_of(kind: type[IntEnum], value: int) -> str:
    """Returns the name of a number, or "unknown"."""
    return kind(value).name if value in kind.__members__.values() else "unknown"
