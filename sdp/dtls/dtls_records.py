"""DTLS records in datagrams (RFC 6347 4.1): whether a datagram is made of them, and the datagrams of an output."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

HEADER_LENGTH = 13
# A record carries 2^14 bytes of plaintext, and at most 2048 more when protected.
MAX_RECORD_LENGTH = HEADER_LENGTH + (1 << 14) + 2048
_DTLS_MAJOR = 254


class ContentType(enum.IntEnum):
    """The content types of records that DTLS-SRTP has."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """What a record says of itself in clear; `end` is where it ends in its datagram."""

    content_type: int
    epoch: int
    end: int


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
        yield RecordHeader(header[0], int.from_bytes(header[3:5]), end)
        start = end


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
