"""The settings of DTLS in OpenSSL."""

from __future__ import annotations

from collections.abc import Callable

from OpenSSL import SSL, crypto

from srtp import Profile

from .certificate import DtlsCertificate
from .protection_profiles import use_srtp_list

DTLS_1_2 = 0xFEFD
# Forward secrecy and authenticated encryption; RFC 8827 6.5 asks for the first one of ECDSA.
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"

Seen = Callable[[bytes], None]


def dtls_context(
    certificate: DtlsCertificate,
    profiles: tuple[Profile, ...],
    seen: Seen,
    cookie: Callable[[], bytes],
    cookie_is_right: Callable[[bytes], bool],
) -> SSL.Context:
    """Returns the context of one association.

    The peer is asked for a certificate, and any will do here, as will none: it is its fingerprint that counts (RFC 8122
    6.2), and until its key has signed, anybody could end the handshake by another one. So who asks has to look, before
    anything more is sent; `seen` is told of the certificate shown, in DER. `cookie` and `cookie_is_right` are those of
    HelloVerifyRequest (RFC 6347 4.2.1).
    """

    def see(_: SSL.Connection, x509: crypto.X509, error: int, depth: int, ok: int) -> bool:
        if depth == 0:
            seen(certificate_der(x509))
        return True

    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_min_proto_version(DTLS_1_2)
    context.set_max_proto_version(DTLS_1_2)
    # No second handshake inside an association, and no resumption: every association has keys of its own.
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_NO_QUERY_MTU)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_verify(SSL.VERIFY_PEER, see)
    context.use_certificate(certificate.certificate)
    context.use_privatekey(certificate.private_key)
    context.set_cipher_list(CIPHERS)
    context.set_tlsext_use_srtp(use_srtp_list(profiles))
    context.set_cookie_generate_callback(lambda _: cookie())
    context.set_cookie_verify_callback(lambda _, value: cookie_is_right(value))
    return context


def certificate_der(certificate: crypto.X509) -> bytes:
    """Returns a peer's certificate in DER, without reading what is in it."""
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
