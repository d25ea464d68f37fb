"""TLS for SIP: contexts, and proof of the SIP domain by the peer's certificate (RFC 5922)."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from srtp.field_checks import as_flag, check_fields

from ..errors import SipParseError, TlsFileError, TlsVerificationError
from ..message.grammar import is_host
from ..message.host_names import bare_host
from ..message.uri import SipUri

SIP_DOMAIN = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.20")  # id-kp-sipDomain, RFC 5924
_DER = 2  # _ssl.ENCODING_DER
# TLS itself has checked that the usage fits the side; most authorities issue for no more than these two.
_SIP_USAGES = frozenset(
    (
        SIP_DOMAIN,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    )
)


@dataclass(frozen=True, slots=True)
class VerifiedPeer:
    """What TLS proved of a peer: protocol version, cipher, and the identity that matched the name asked for.

    `identity` is None for a client that showed no certificate. `kind` says where the name stood: a SIP URI,
    DNS name or IP address of the subjectAltName, or the subject's common name.
    """

    protocol: str
    cipher: str
    identity: str | None = None
    kind: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class VerifiedChain:
    """When a certificate is good, in seconds since 1970, by all of its chain, and the authority that it goes back to.

    `authority` is that one's certificate in DER; None where TLS does not tell, as of a resumed session.
    """

    not_before: float
    not_after: float
    authority: bytes | None

    @classmethod
    def of(cls, connection: ssl.SSLObject) -> VerifiedChain | None:
        """Returns that of a connection's peer; None where it showed no certificate or none that can be read."""
        leaf = connection.getpeercert(binary_form=True)
        chain = _verified_chain(connection) or ([leaf] if leaf else [])
        try:
            parsed = [x509.load_der_x509_certificate(one) for one in chain]
        except ValueError:
            return None
        if not parsed:
            return None
        starts = max(one.not_valid_before_utc for one in parsed)
        ends = min(one.not_valid_after_utc for one in parsed)
        return cls(starts.timestamp(), ends.timestamp(), chain[-1] if len(chain) > 1 else None)

    def holds(self, now: float, authorities: frozenset[bytes] | None) -> bool:
        """Whether it is good at `now` by these authorities (DER); None stands for those that it was verified by."""
        if not self.not_before <= now <= self.not_after:
            return False
        return authorities is None or (self.authority is not None and self.authority in authorities)


def _verified_chain(connection: ssl.SSLObject) -> list[bytes]:
    """DER, the peer's own first, its authority last; [] where it is not known."""
    source: Any = connection if hasattr(connection, "get_verified_chain") else getattr(connection, "_sslobj", None)
    if not hasattr(source, "get_verified_chain"):
        return []  # public since Python 3.13, below the surface since 3.10
    chain = source.get_verified_chain() or ()
    return [one if isinstance(one, bytes) else one.public_bytes(_DER) for one in chain]


def client_context(
    *, ca_file: str | Path | None = None, certificate: str | Path | None = None, key: str | Path | None = None
) -> ssl.SSLContext:
    """Returns a context that verifies the server's chain by `ca_file` or the system's authorities; TLS 1.2 or newer.

    The name is not verified by the context but by verify_identity(), as RFC 5922 says, before anything is sent.
    `certificate` and `key` are PEM files to show the server, the key not encrypted. Raises TlsFileError for
    unusable files.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is None:
        context.load_default_certs()
    else:
        _load_authorities(context, ca_file)
    if certificate is not None:
        _load_certificate(context, certificate, key)
    return context


def server_context(
    certificate: str | Path, key: str | Path | None = None, *, client_ca_file: str | Path | None = None
) -> ssl.SSLContext:
    """Returns a context that shows a PEM certificate (with its key, or `key` apart); TLS 1.2 or newer.

    With `client_ca_file` clients must show a certificate of those authorities. Raises TlsFileError for unusable
    files.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_certificate(context, certificate, key)
    if client_ca_file is not None:
        _load_authorities(context, client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load_authorities(context: ssl.SSLContext, path: str | Path) -> None:
    _check_readable(path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise TlsFileError("holds no PEM certificate of an authority", path=path) from None


def _load_certificate(context: ssl.SSLContext, certificate: str | Path, key: str | Path | None) -> None:
    for path in (certificate, key or certificate):
        _check_readable(path)
    try:
        # Without a password OpenSSL would ask for that of an encrypted key on the terminal, and block.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsFileError("the key is not that of the certificate", path=key or certificate) from None
        lacking = "with its key, unencrypted" if key is None else f"or {key} holds no unencrypted key"
        raise TlsFileError(f"holds no PEM certificate {lacking}", path=certificate) from None


def _check_readable(path: str | Path) -> None:
    """The errors of `ssl` do not say which file it is."""
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise TlsFileError(error.strerror or str(error), path=path) from None


def verify_identity(certificate: bytes, expected: str, *, allow_wildcards: bool = False) -> tuple[str, str]:
    """Returns the identity of a DER certificate that matches `expected`, a SIP domain or IP address, and its kind.

    RFC 5922 7.1: SIP URIs without a user part of the subjectAltName count; its DNS names only when it has no such
    URI; the common name only when there is no subjectAltName at all. An IP address matches an iPAddress only.
    Wildcards are refused (7.2) unless allowed, and then stand for one label. An extendedKeyUsage must name SIP domains
    (RFC 5924), TLS or any usage. Names are compared by ASCII rules (RFC 4343): in other letters, as common names may
    have them, nothing matches. Raises TlsVerificationError when none matches, or the certificate cannot be read.
    """
    as_flag(allow_wildcards, "allow_wildcards")
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        names = _alternative_names(parsed)
        _check_usage(parsed, expected)
    except (ValueError, x509.DuplicateExtension) as error:
        raise TlsVerificationError(f"the certificate cannot be read: {error}", expected=expected) from None
    address = _ip_address(expected)
    if address is not None:
        found = [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] if names is not None else []
        if any(_ip_address(ip) == address for ip in found):
            return str(address), "IP address"
        raise TlsVerificationError(
            f"the certificate is for {', '.join(_all_names(parsed, names)) or 'no name'}",
            expected=expected,
            presented=tuple(_all_names(parsed, names)),
        )
    wanted = bare_host(expected)
    for identity, kind in _identities(parsed, names):
        if _matches(identity, wanted, allow_wildcards=allow_wildcards):
            return identity, kind
    presented = tuple(_all_names(parsed, names))
    hint = "; wildcards are refused" if any("*" in name for name in presented) and not allow_wildcards else ""
    raise TlsVerificationError(
        f"the certificate is for {', '.join(presented) or 'no name'}{hint}", expected=expected, presented=presented
    )


def _alternative_names(certificate: x509.Certificate) -> x509.GeneralNames | None:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return None
    return x509.GeneralNames(found.value)


def _check_usage(certificate: x509.Certificate, expected: str) -> None:
    """Refuses a certificate that was issued for something else than SIP or TLS (RFC 5922 7.1, RFC 5924)."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if _SIP_USAGES.isdisjoint(usages):
        raise TlsVerificationError("the certificate's extendedKeyUsage allows neither SIP nor TLS", expected=expected)


def _identities(certificate: x509.Certificate, names: x509.GeneralNames | None) -> list[tuple[str, str]]:
    if names is None:
        return [(name, "common name") for name in _common_names(certificate)]
    found = []
    for text in names.get_values_for_type(x509.UniformResourceIdentifier):
        try:
            uri = SipUri.parse(text)
        except SipParseError:
            continue
        if uri.scheme == "sip" and uri.user is None:
            found.append((uri.host, "SIP URI"))
    # A DNS name counts if and only if no SIP URI does (7.1).
    return found or [(name, "DNS name") for name in names.get_values_for_type(x509.DNSName)]


def _all_names(certificate: x509.Certificate, names: x509.GeneralNames | None) -> list[str]:
    if names is None:
        return _common_names(certificate)
    found = list(names.get_values_for_type(x509.UniformResourceIdentifier))
    found += names.get_values_for_type(x509.DNSName)
    return found + [str(ip) for ip in names.get_values_for_type(x509.IPAddress)]


def _common_names(certificate: x509.Certificate) -> list[str]:
    return [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def _matches(identity: str, wanted: str, *, allow_wildcards: bool) -> bool:
    if not is_host(identity.removeprefix("*.")) or not is_host(wanted):
        return False
    name = bare_host(identity)
    if name == wanted:
        return True
    if not allow_wildcards or not name.startswith("*."):
        return False
    label, _, rest = wanted.partition(".")
    return bool(label) and rest == name[2:] and "." in rest and "*" not in rest


def _ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
