"""Reads the fields of a payload, and says of which payload and field it ran out."""

from __future__ import annotations

from ..errors import MikeyParseError


class Reader:
    """A cursor over the bytes of a message; `payload` is what errors name."""

    def __init__(self, data: bytes, payload: str = "HDR") -> None:
        self.data = data
        self.offset = 0
        self.payload = payload

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return len(self.data) - self.offset

    def take(self, length: int, field: str) -> bytes:
        """Takes `length` bytes; raises MikeyParseError, naming the field, when fewer are left."""
        if length > self.remaining:
            raise self.error(field, f"{length} bytes are needed, {self.remaining} are left")
        start = self.offset
        self.offset += length
        return self.data[start : self.offset]

    def number(self, length: int, field: str) -> int:
        """Takes an unsigned number of `length` bytes in network byte order."""
        return int.from_bytes(self.take(length, field))

    def sized(self, length_of_length: int, field: str) -> bytes:
        """Takes a length and so many bytes."""
        return self.take(self.number(length_of_length, f"{field} len"), field)

    def error(self, field: str, message: str) -> MikeyParseError:
        """Makes the error for what is wrong with a field of the current payload."""
        return MikeyParseError(self.payload, field, message, offset=self.offset)


def sized(data: bytes, length_of_length: int, payload: str, field: str) -> bytes:
    """Returns `data` with its length before it; raises MikeyParseError when it does not fit the length field."""
    if len(data) >= 1 << 8 * length_of_length:
        raise MikeyParseError(payload, field, f"{len(data)} bytes do not fit the length field")
    return len(data).to_bytes(length_of_length) + data


def number(value: int, length: int, payload: str, field: str) -> bytes:
    """Returns a number in `length` bytes; raises MikeyParseError when it is negative or does not fit."""
    if not 0 <= value < 1 << 8 * length:
        raise MikeyParseError(payload, field, f"the value {value} does not fit {length} bytes")
    return value.to_bytes(length)
