"""The SRTP protection profiles of use_srtp (RFC 5764 4.1.2, RFC 7714 14.2), and the keys that follow from DTLS."""

from __future__ import annotations

from srtp import Policy, Profile, SecretBytes
from srtp.field_checks import as_member

from ..errors import DtlsError
from .setup_role import SetupRole

EXPORTER_LABEL = b"EXTRACTOR-dtls_srtp"

# In order of preference, and as far as `srtp` has them. The NULL profiles of RFC 5764 are never offered nor taken.
_NAMES = {
    "AEAD_AES_256_GCM": "SRTP_AEAD_AES_256_GCM",
    "AEAD_AES_128_GCM": "SRTP_AEAD_AES_128_GCM",
    "AES_CM_128_HMAC_SHA1_80": "SRTP_AES128_CM_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32": "SRTP_AES128_CM_SHA1_32",
}
PROTECTION_PROFILES: dict[Profile, str] = {
    Profile[profile]: name for profile, name in _NAMES.items() if profile in Profile.__members__
}
DEFAULT_PROFILES = tuple(PROTECTION_PROFILES)


def use_srtp_list(profiles: tuple[Profile, ...]) -> bytes:
    """Returns profiles as OpenSSL names them; raises DtlsError when there are none, or one has no name in DTLS."""
    profiles = tuple(as_member(Profile, profile, "one of profiles") for profile in profiles)
    unknown = [profile.name for profile in profiles if profile not in PROTECTION_PROFILES]
    if unknown or not profiles:
        raise DtlsError(f"no protection profiles of DTLS-SRTP: {', '.join(unknown) or 'none given'}")
    return ":".join(PROTECTION_PROFILES[profile] for profile in profiles).encode()


def profile_named(name: bytes, allowed: tuple[Profile, ...]) -> Profile:
    """Returns the profile that a handshake selected; raises DtlsError when it selected none that is allowed."""
    for profile in allowed:
        if PROTECTION_PROFILES[profile].encode() == name:
            return profile
    raise DtlsError("the handshake agreed on no SRTP protection profile")


def keying_material_length(profile: Profile) -> int:
    """Returns how many bytes are to be exported (RFC 5764 4.2)."""
    return 2 * (profile.master_key_length + profile.master_salt_length)


def policies_from(profile: Profile, keying_material: bytes, role: SetupRole) -> tuple[Policy, Policy]:
    """Returns what protects our packets and what unprotects the peer's (RFC 5764 4.2).

    The material is client key, server key, client salt, server salt; ACTIVE is the client. Raises DtlsError when
    its length does not fit, or the role is not decided.
    """
    profile, role = as_member(Profile, profile, "profile"), as_member(SetupRole, role, "role")
    if len(keying_material) != keying_material_length(profile) or role not in (SetupRole.ACTIVE, SetupRole.PASSIVE):
        raise DtlsError("keying material of another length, or for no role")
    key, salt = profile.master_key_length, profile.master_salt_length
    material = memoryview(keying_material)
    client, server = (
        Policy(
            profile,
            SecretBytes(material[side * key : (side + 1) * key]),
            SecretBytes(material[2 * key + side * salt : 2 * key + (side + 1) * salt]),
        )
        for side in (0, 1)
    )
    return (client, server) if role is SetupRole.ACTIVE else (server, client)
