"""RTP header extensions: the raw form of RFC 3550 5.3.1, one-byte and two-byte elements of RFC 8285."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import MalformedRtpError

ONE_BYTE_PROFILE = 0xBEDE
TWO_BYTE_PROFILE = 0x1000  # the low four bits are appbits
_MAX_LENGTH = 4 * 0xFFFF


@dataclass(frozen=True, slots=True)
class ExtensionElement:
    """One element: its local identifier (1 to 14, or 1 to 255 in the two-byte form) and its data."""

    id: int
    data: bytes


@dataclass(frozen=True, slots=True)
class HeaderExtension:
    """The extension of one packet: the 16 bits "defined by profile" and the data, a multiple of 4 bytes.

    Raises MalformedRtpError when the profile does not fit 16 bits, or the data is not of whole words or too
    long.
    """

    profile: int
    data: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.profile <= 0xFFFF:
            raise MalformedRtpError(f"the extension's profile {self.profile} does not fit 16 bits")
        if len(self.data) % 4 or len(self.data) > _MAX_LENGTH:
            raise MalformedRtpError(
                f"the extension has {len(self.data)} bytes, not whole 32-bit words up to {_MAX_LENGTH}"
            )

    @classmethod
    def one_byte(cls, elements: tuple[ExtensionElement, ...]) -> HeaderExtension:
        """Packs elements of 1 to 16 bytes with ids 1 to 14 (RFC 8285 4.2); raises MalformedRtpError for others."""
        packed = bytearray()
        for element in elements:
            if not 1 <= element.id <= 14 or not 1 <= len(element.data) <= 16:
                raise MalformedRtpError(f"element {element.id} of {len(element.data)} bytes has no one-byte form")
            packed.append(element.id << 4 | len(element.data) - 1)
            packed += element.data
        return cls(ONE_BYTE_PROFILE, bytes(packed) + bytes(-len(packed) % 4))

    @classmethod
    def two_byte(cls, elements: tuple[ExtensionElement, ...], *, appbits: int = 0) -> HeaderExtension:
        """Packs elements of 0 to 255 bytes with ids 1 to 255 (RFC 8285 4.3); raises MalformedRtpError for others."""
        if not 0 <= appbits <= 15:
            raise MalformedRtpError(f"appbits {appbits} do not fit 4 bits")
        packed = bytearray()
        for element in elements:
            if not 1 <= element.id <= 255 or len(element.data) > 255:
                raise MalformedRtpError(f"element {element.id} of {len(element.data)} bytes has no two-byte form")
            packed += bytes((element.id, len(element.data)))
            packed += element.data
        return cls(TWO_BYTE_PROFILE | appbits, bytes(packed) + bytes(-len(packed) % 4))

    @property
    def appbits(self) -> int | None:
        """The four appbits of the two-byte form, None in any other."""
        return self.profile & 0xF if self.profile & 0xFFF0 == TWO_BYTE_PROFILE else None

    def elements(self) -> tuple[ExtensionElement, ...]:
        """Returns the elements of the one-byte or two-byte form, padding left out; () for another profile.

        In the one-byte form id 15 ends the list (RFC 8285 4.2). Raises MalformedRtpError for an element that
        reaches past the end.
        """
        if self.profile == ONE_BYTE_PROFILE:
            return self._unpack(header=1)
        if self.appbits is not None:
            return self._unpack(header=2)
        return ()

    def _unpack(self, *, header: int) -> tuple[ExtensionElement, ...]:
        found = []
        position = 0
        while position < len(self.data):
            if header == 1:
                id_, length = self.data[position] >> 4, (self.data[position] & 0xF) + 1
            else:
                id_ = self.data[position]
                length = self.data[position + 1] if id_ and position + 1 < len(self.data) else 0
            if id_ == 0 and (header == 2 or self.data[position] == 0):
                position += 1
                continue
            if header == 1 and id_ == 15:
                break
            start = position + header
            if start + length > len(self.data):
                raise MalformedRtpError(f"element {id_} reaches past the extension's end", offset=position)
            # One-byte elements with id 0 and a length are to be ignored (RFC 8285 4.2).
            if id_:
                found.append(ExtensionElement(id_, self.data[start : start + length]))
            position = start + length
        return tuple(found)
