"""Certificates and their RSA keys: chains, signatures, envelope keys (RFC 3830 4.2.5, 4.2.6, 4.3.1)."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from srtp import SecretBytes

from ..errors import MikeyRefusedError
from .code_points import CertificateType, ErrorNumber, HashFunction, IdType, SignatureType
from .message import Message
from .parties import Ourselves, Peer
from .payloads import Cert, Chash, Id, Sign

MAX_CHAIN = 8
MIN_RSA_BITS = 2048
ENVELOPE_KEY_LENGTH = 32
_HASHES: dict[int, type[hashes.HashAlgorithm]] = {HashFunction.SHA_1: hashes.SHA1, HashFunction.SHA_256: hashes.SHA256}
_SIGNING = (CertificateType.X509V3, CertificateType.X509V3_SIGN)
_ENCRYPTING = (CertificateType.X509V3, CertificateType.X509V3_ENCR)


def certificate_payloads(ourselves: Ourselves) -> tuple[Cert, ...]:
    """Returns a CERT payload for each certificate of our chain, or the one with its URL."""
    if ourselves.certificate_url is not None:
        return (Cert(CertificateType.X509V3_URL, ourselves.certificate_url.encode()),)
    der = serialization.Encoding.DER
    return tuple(Cert(CertificateType.X509V3, one.public_bytes(der)) for one in ourselves.certificates)


def certificate_hash(certificate: x509.Certificate) -> Chash:
    """Returns the CHASH payload that tells which certificate PKE is encrypted to.

    It is a name that proves nothing, so it has the hash function that every implementation knows.
    """
    return Chash(HashFunction.SHA_1, certificate.fingerprint(hashes.SHA1()))  # noqa: S303  # a name, see above


def matches_hash(certificate: x509.Certificate, chash: Chash) -> bool:
    """Whether a CHASH names this certificate; MD5 names none."""
    digest = {HashFunction.SHA_1: hashlib.sha1, HashFunction.SHA_256: hashlib.sha256}.get(  # a name, no proof
        HashFunction(chash.hash_function)
    )
    der = certificate.public_bytes(serialization.Encoding.DER)
    return digest is not None and secrets.compare_digest(digest(der, usedforsecurity=False).digest(), chash.hash)


def public_key_of(message: Message, peer: Peer, now: float, *, encrypting: bool = False) -> RSAPublicKey:
    """Returns the peer's public key: of the message's certificates, else of the one we know.

    A chain has to lead to one of the peer's authorities, or start with the very certificate we know, and name
    the peer in its subject alternative names. A URL is not fetched here: who wants that does it before, and gives
    the certificate in `peer`. Raises MikeyRefusedError (INVALID_CERT, INVALID_ID) when there is no certificate, it
    is not valid now or not for this use, or its key is no RSA key of 2,048 bits.
    """
    usable = _ENCRYPTING if encrypting else _SIGNING
    payloads = tuple(one for one in message.all(Cert) if one.cert_type != CertificateType.X509V3_URL)
    if not payloads:
        return known_public_key(peer, now, encrypting=encrypting)
    if len(payloads) > MAX_CHAIN:
        raise _bad_certificate(f"a chain of {len(payloads)} certificates is longer than {MAX_CHAIN}")
    leaf_place = next((place for place, one in enumerate(payloads) if one.cert_type in usable), None)
    if leaf_place is None:
        raise _bad_certificate("no certificate is for this use")
    chain = [_load(one) for one in payloads]
    leaf = chain.pop(leaf_place)
    if leaf != peer.certificate:
        _check_chain(leaf, chain, peer.authorities, now)
        _check_name(leaf, peer.identity)
    return _usable_key(leaf, now, encrypting)


def known_public_key(peer: Peer, now: float, *, encrypting: bool) -> RSAPublicKey:
    """Returns the key of the certificate that we know of the peer; raises MikeyRefusedError (INVALID_CERT)."""
    if peer.certificate is None:
        raise _bad_certificate("no certificate of the peer is known")
    return _usable_key(peer.certificate, now, encrypting)


def identity_of(certificate: Cert) -> Id | None:
    """Returns the identity that a certificate claims, unverified, to look up the peer by: a URI or a mailbox."""
    names = _names(_load(certificate))
    return names[0] if names else None


def signing_key(ourselves: Ourselves) -> RSAPrivateKey:
    """Returns our private key; raises MikeyRefusedError (INVALID_CERT) when there is none."""
    if ourselves.private_key is None:
        raise _bad_certificate("this mode needs a private key of ours")
    return ourselves.private_key


def sign(key: RSAPrivateKey, kind: SignatureType, hash_function: HashFunction, data: bytes) -> bytes:
    """Signs with RSASSA-PKCS1-v1_5 or RSASSA-PSS."""
    algorithm = _HASHES[hash_function]()
    if kind is SignatureType.RSA_PSS:
        pss = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
        return key.sign(data, pss, algorithm)
    return key.sign(data, padding.PKCS1v15(), algorithm)


def verify(key: RSAPublicKey, signature: Sign, accepted: tuple[HashFunction, ...], *candidates: bytes) -> None:
    """Checks that a signature is over one of `candidates` with one of the accepted hash functions.

    The signature type says nothing of the hash function, whose default is SHA-1 (4.2.1). Raises
    MikeyRefusedError (AUTH_FAILURE) when none fits or the type is not known.
    """
    for data in candidates:
        for hash_function in accepted:
            algorithm = _HASHES[hash_function]()
            scheme: padding.AsymmetricPadding
            if signature.signature_type == SignatureType.RSA_PKCS1_1_5:
                scheme = padding.PKCS1v15()
            elif signature.signature_type == SignatureType.RSA_PSS:
                scheme = padding.PSS(padding.MGF1(algorithm), padding.PSS.AUTO)
            else:
                continue
            try:
                key.verify(signature.signature, data, scheme, algorithm)
            except InvalidSignature:
                continue
            return
    raise MikeyRefusedError(ErrorNumber.AUTH_FAILURE, "the signature does not verify")


def encrypt_envelope_key(key: RSAPublicKey, envelope_key: SecretBytes) -> bytes:
    """Encrypts an envelope key with RSAES-PKCS1-v1_5, the scheme that every implementation has (4.2.5)."""
    return key.encrypt(bytes(envelope_key), padding.PKCS1v15())


def decrypt_envelope_key(key: RSAPrivateKey, data: bytes) -> SecretBytes:
    """Decrypts an envelope key.

    What does not decrypt gives a random key, with which the MAC then fails: who tries out paddings
    (Bleichenbacher's attack) learns nothing from our answer.
    """
    try:
        envelope_key = key.decrypt(data, padding.PKCS1v15())
    except ValueError:
        envelope_key = b""
    return SecretBytes(envelope_key if len(envelope_key) >= 16 else secrets.token_bytes(ENVELOPE_KEY_LENGTH))


def _check_chain(
    leaf: x509.Certificate, chain: list[x509.Certificate], authorities: tuple[x509.Certificate, ...], now: float
) -> None:
    if not authorities:
        raise _bad_certificate("no authority is trusted for this peer")
    # The verifier is named after TLS clients; it checks the chain of RFC 5280 and leaves the name to us.
    builder = PolicyBuilder().store(Store(list(authorities))).time(_moment(now))
    try:
        builder.max_chain_depth(MAX_CHAIN).build_client_verifier().verify(leaf, _linear(leaf, chain))
    except (VerificationError, ValueError, KeyError, UnsupportedAlgorithm) as error:
        raise _bad_certificate(f"the certificate chain does not verify: {error}") from None


def _linear(leaf: x509.Certificate, given: list[x509.Certificate]) -> list[x509.Certificate]:
    """The certificates that lead up from the leaf, each the issuer of the one before it, and no name twice.

    That is the one path that a verifier may try. Given authorities that sign each other it would try them all, 7!
    and more, for a message that nobody has authenticated yet. Order counts only among certificates of one name, of
    which the first is taken: RFC 3830 6.7 says nothing of it. What leads nowhere is left out.
    """
    issuers: dict[x509.Name, x509.Certificate] = {}
    for one in given:
        issuers.setdefault(one.subject, one)
    issuers.pop(leaf.subject, None)
    path: list[x509.Certificate] = []
    name = leaf.issuer
    while (issuer := issuers.pop(name, None)) is not None:
        path.append(issuer)
        name = issuer.issuer
    return path


def _check_name(leaf: x509.Certificate, identity: Id) -> None:
    if identity not in _names(leaf):
        raise MikeyRefusedError(ErrorNumber.INVALID_ID, "the certificate does not name the peer")


def _names(certificate: x509.Certificate) -> list[Id]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError, KeyError):
        return []
    uris = [Id(IdType.URI, uri.encode()) for uri in names.get_values_for_type(x509.UniformResourceIdentifier)]
    return uris + [Id(IdType.NAI, mail.encode()) for mail in names.get_values_for_type(x509.RFC822Name)]


def _load(payload: Cert) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(payload.data)
        # Read only now: a string of an unknown type in a name is a KeyError.
        _ = certificate.subject, certificate.issuer
    except (ValueError, KeyError, x509.InvalidVersion):
        raise _bad_certificate("a certificate is malformed") from None
    return certificate


def _usable_key(certificate: x509.Certificate, now: float, encrypting: bool) -> RSAPublicKey:
    """The certificate's RSA key, if it is valid now and its key usage, where it has one, is this (RFC 5280 4.2.1.3)."""
    try:
        valid = certificate.not_valid_before_utc <= _moment(now) <= certificate.not_valid_after_utc
    except ValueError:
        valid = False
    if not valid:
        raise _bad_certificate("the certificate is not valid now")
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError, KeyError):
        raise _bad_certificate("the certificate's extensions are malformed") from None
    if usage is not None and not (usage.key_encipherment if encrypting else usage.digital_signature):
        raise _bad_certificate("the certificate's key is not for this use")
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_RSA_BITS:
        raise _bad_certificate(f"the certificate's key is no RSA key of {MIN_RSA_BITS} bits")
    return key


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)


def _bad_certificate(text: str) -> MikeyRefusedError:
    return MikeyRefusedError(ErrorNumber.INVALID_CERT, text)
