"""DTLS records in datagrams (RFC 6347 4.1): whether a datagram is made of them, and the datagrams of an output."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from .handshake_messages import can_be_from_peer, client_random, cookie_wanted
from .setup_role import SetupRole

HEADER_LENGTH = 13
# A record carries 2^14 bytes of plaintext, and at most 2048 more when protected.
MAX_RECORD_LENGTH = HEADER_LENGTH + (1 << 14) + 2048
_DTLS_MAJOR = 254
# A hello may still say 1.0, whatever version it goes on with.
_VERSIONS = (b"\xfe\xff", b"\xfe\xfd")
_FATAL = 2


class ContentType(enum.IntEnum):
    """The content types of records that DTLS-SRTP has."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """What a record says of itself in clear; `end` is where it ends in its datagram, `start` where it begins."""

    content_type: int
    epoch: int
    end: int
    start: int = 0


def record_headers(data: bytes) -> Iterator[RecordHeader]:
    """Yields the records of a datagram; raises ValueError where it is not made of whole records."""
    start = 0
    while start < len(data):
        header = data[start : start + HEADER_LENGTH]
        if len(header) < HEADER_LENGTH or header[1] != _DTLS_MAJOR:
            raise ValueError("no DTLS record header")
        end = start + HEADER_LENGTH + int.from_bytes(header[11:13])
        if end > len(data) or end - start > MAX_RECORD_LENGTH:
            raise ValueError("a DTLS record is cut off or too long")
        yield RecordHeader(header[0], int.from_bytes(header[3:5]), end, start)
        start = end


@dataclass(frozen=True, slots=True)
class Admitted:
    """The records of a datagram that may be looked at, and what stood there in clear, if it did.

    That is a fatal alert, the random of a ClientHello, and the cookie of a HelloVerifyRequest.
    """

    records: bytes
    alert: int | None
    client_random: bytes | None
    cookie: bytes | None


def admit(data: bytes, role: SetupRole, numbers: Iterator[int], *, cookie: bool) -> Admitted:
    """Leaves out the records that a peer of our `role` does not send, or that prove nothing (RFC 6347 4.1.2.7).

    Of epoch 0, which anybody can make, only what a handshake needs is left: no alert, and no message that cannot be
    one; `cookie` says whether the server has asked for one already. Those get new sequence `numbers`: OpenSSL takes
    what is 64 behind the highest for a replay, and who makes one up could shut out all that follow. What has a higher
    epoch is OpenSSL's to judge, which has the keys. Raises ValueError when the datagram is not made of whole records.
    """
    admitted = b""
    alert = random = wanted = None
    for record in record_headers(data):
        whole = data[record.start : record.end]
        body = whole[HEADER_LENGTH:]
        if whole[1:3] not in _VERSIONS or record.content_type not in set(ContentType):
            continue
        if record.epoch:
            admitted += whole
        elif record.content_type == ContentType.ALERT:
            alert = body[1] if len(body) == 2 and body[0] == _FATAL else alert
        elif record.content_type == ContentType.CHANGE_CIPHER_SPEC:
            admitted += _numbered(whole, next(numbers)) if body == b"\1" else b""
        elif record.content_type == ContentType.HANDSHAKE and can_be_from_peer(body, role, cookie=cookie):
            admitted += _numbered(whole, next(numbers))
            random = client_random(body) or random
            wanted = cookie_wanted(body) or wanted
            cookie = cookie or wanted is not None
    return Admitted(admitted, alert, random, wanted)


def _numbered(record: bytes, number: int) -> bytes:
    return record[:5] + number.to_bytes(6) + record[11:]


def datagrams_of(output: bytes, mtu: int) -> list[bytes]:
    """Returns records that stand one after the other as datagrams of at most `mtu` bytes.

    A record that alone is longer gets a datagram of its own.
    """
    datagrams: list[bytes] = []
    begin = last = 0
    for record in record_headers(output):
        if record.end - begin > mtu and last > begin:
            datagrams.append(output[begin:last])
            begin = last
        last = record.end
    if last > begin:
        datagrams.append(output[begin:last])
    return datagrams
