"""Handshake messages as they stand in clear (RFC 5246 7.4, RFC 6347 4.2, RFC 8422 5): whether a record can be of them.

Nothing authenticates them before the handshake is over, so what OpenSSL would give up for is looked at here before.
"""

from __future__ import annotations

import enum

from .setup_role import SetupRole

HEADER_LENGTH = 12
# Far more than a chain of certificates needs; OpenSSL ends a handshake over what is longer than it allows.
MAX_MESSAGE_LENGTH = 1 << 16
# The last message in clear is the fifth of a server and the fourth of a client, behind what comes before the cookie.
# OpenSSL would keep another in the place of what comes next, Finished.
_LAST = {SetupRole.PASSIVE: 3, SetupRole.ACTIVE: 4}


class HandshakeType(enum.IntEnum):
    """The messages of an ECDHE handshake between two who show certificates, without tickets."""

    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    HELLO_VERIFY_REQUEST = 3
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16


# How many bytes stand there, and by `v` and its width which vectors (RFC 5246 4.3); behind `?` may be nothing.
_LAYOUTS = {
    HandshakeType.CLIENT_HELLO: "34 v1 v1 v2 v1 ? v2",
    HandshakeType.SERVER_HELLO: "34 v1 3 ? v2",
    HandshakeType.HELLO_VERIFY_REQUEST: "2 v1",
    HandshakeType.CERTIFICATE: "v3",
    HandshakeType.SERVER_KEY_EXCHANGE: "3 v1 2 v2",
    HandshakeType.CERTIFICATE_REQUEST: "v1 v2 v2",
    HandshakeType.SERVER_HELLO_DONE: "",
    HandshakeType.CERTIFICATE_VERIFY: "2 v2",
    HandshakeType.CLIENT_KEY_EXCHANGE: "v1",
}
_OF_BOTH = {HandshakeType.CERTIFICATE}
_OF_CLIENTS = {HandshakeType.CLIENT_HELLO, HandshakeType.CERTIFICATE_VERIFY, HandshakeType.CLIENT_KEY_EXCHANGE}
_FROM_THE_PEER_OF = {
    SetupRole.PASSIVE: frozenset(_OF_CLIENTS | _OF_BOTH),
    SetupRole.ACTIVE: frozenset(set(HandshakeType) - _OF_CLIENTS),
}


def can_be_from_peer(fragments: bytes, role: SetupRole, *, cookie: bool = True) -> bool:
    """Whether a record of epoch 0 is made of handshake messages, or parts of them, that a peer of our `role` sends.

    `cookie` says whether the server asks for one, which moves the numbers of what follows by one.
    """
    at = 0
    while at < len(fragments):
        header = fragments[at : at + HEADER_LENGTH]
        if len(header) < HEADER_LENGTH or header[0] not in _FROM_THE_PEER_OF[role]:
            return False
        total, sequence = int.from_bytes(header[1:4]), int.from_bytes(header[4:6])
        offset, length = int.from_bytes(header[6:9]), int.from_bytes(header[9:12])
        body = fragments[at + HEADER_LENGTH : at + HEADER_LENGTH + length]
        if len(body) < length or offset + length > total or (total and not length):
            return False
        if total > MAX_MESSAGE_LENGTH or sequence > _LAST[role] + cookie:
            return False
        if length == total and not _fits(_LAYOUTS[HandshakeType(header[0])], body):
            return False
        at += HEADER_LENGTH + length
    return bool(fragments)


def client_random(fragments: bytes) -> bytes | None:
    """Returns the random of the ClientHello that a record begins with, None when it begins with something else."""
    start = HEADER_LENGTH + 2
    whole_start = fragments[:1] == bytes([HandshakeType.CLIENT_HELLO]) and fragments[6:9] == bytes(3)
    return fragments[start : start + 32] if whole_start and len(fragments) >= start + 32 else None


def cookie_wanted(fragments: bytes) -> bytes | None:
    """Returns the cookie of a record that is a HelloVerifyRequest, None of one that is something else."""
    is_request = fragments[:1] == bytes([HandshakeType.HELLO_VERIFY_REQUEST])
    return fragments[HEADER_LENGTH + 3 :] if is_request else None


def _fits(layout: str, body: bytes) -> bool:
    """Whether a body is of the lengths that its own vectors say."""
    at = 0
    for item in layout.split():
        if item == "?":
            if at == len(body):
                return True
            continue
        width = int(item.removeprefix("v"))
        if item.startswith("v"):
            at += width + int.from_bytes(body[at : at + width])
        else:
            at += width
        if at > len(body):
            return False
    return at == len(body)
