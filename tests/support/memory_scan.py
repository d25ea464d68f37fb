"""Looks for secrets in this process's memory, without being found itself: it knows them, and reads memory, inverted."""

from __future__ import annotations

import re

import numpy as np

CHUNK = 1 << 20
OVERLAP = 64


def fresh_secret(length: int) -> bytearray:
    """Random bytes of which there is no other copy; wipe() them in the end."""
    secret = bytearray(length)
    with open("/dev/urandom", "rb", buffering=0) as source:
        assert source.readinto(secret) == length
    return secret


def wipe(secret: bytearray) -> None:
    secret[:] = bytes(len(secret))


def inverted(secret: bytearray) -> bytes:
    return bytes(byte ^ 0xFF for byte in secret)


def inverted_hex(secret: bytearray) -> bytes:
    """Of the secret's hexadecimal digits, in small letters."""
    return bytes(b"0123456789abcdef"[nibble] ^ 0xFF for byte in secret for nibble in (byte >> 4, byte & 15))


def copies(inverted_secrets: list[bytes]) -> int:
    """How often secrets, given inverted, lie in this process's memory."""
    with open("/proc/self/maps") as lines:
        regions = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) rw.. .*?$", lines.read(), re.MULTILINE)
    buffer = bytearray(CHUNK + OVERLAP)
    view = np.frombuffer(buffer, np.uint8)
    found = 0
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        for begin, end in ((int(begin, 16), int(end, 16)) for begin, end in regions):
            for at in range(begin, end, CHUNK):
                length = min(CHUNK + OVERLAP, end - at)
                memory.seek(at)
                try:
                    read = memory.readinto(memoryview(buffer)[:length])
                except OSError:  # a page of the kernel's own
                    continue
                np.invert(view[:read], out=view[:read])
                found += sum(_count(buffer, secret, min(read, CHUNK), read) for secret in inverted_secrets)
    view[:] = 0
    return found


def _count(buffer: bytearray, secret: bytes, begin_before: int, read: int) -> int:
    found, at = 0, buffer.find(secret, 0, read)
    while 0 <= at < begin_before:
        found += 1
        at = buffer.find(secret, at + 1, read)
    return found
