"""Messages from a byte stream, framed by Content-Length (RFC 3261 18.3), bounded before anything is kept."""

from __future__ import annotations

from ..errors import SipParseError, StreamFramingError
from .message import Message, Request
from .parser import DEFAULT_LIMITS, Limits, content_length, parse_head


class KeepAlive:
    """A CRLF CRLF ping between messages (RFC 5626 3.5.1), to be answered with one CRLF."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "KeepAlive()"


class StreamParser:
    """Cuts a TCP or TLS stream into messages.

    feed() returns what became complete. After it raised SipParseError the stream has no frame any more:
    answer if the error says so, and close the connection.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._searched = 0
        self._message: Message | None = None
        self._wanted = 0
        self._head = 0  # bytes of the header part of the message that has begun
        self._failed = False

    @property
    def partial(self) -> bool:
        """Whether a message has begun that is not all there."""
        return self._message is not None or bool(self._buffer)

    @property
    def held(self) -> int:
        """How many bytes are kept of a message that is not all there."""
        return len(self._buffer) + (0 if self._message is None else self._head)

    def feed(self, data: bytes) -> list[Message | KeepAlive]:
        """Takes the next bytes and returns the messages that they complete.

        Raises StreamFramingError for a malformed message, one without Content-Length, or one beyond the limits,
        and SipParseError when it did so before.
        """
        if self._failed:
            raise SipParseError("the stream lost its framing before")
        self._buffer += data
        found: list[Message | KeepAlive] = []
        try:
            while self._step(found):
                pass
        except SipParseError as error:
            self._failed = True
            self._buffer.clear()
            raise StreamFramingError(error, found) from None
        return found

    def _step(self, found: list[Message | KeepAlive]) -> bool:
        """Takes one message or ping off the buffer; False when more bytes are needed."""
        if self._message is None and not self._start(found):
            return False
        message = self._message
        if message is None:
            return True
        if len(self._buffer) < self._wanted:
            return False
        message.body = bytes(self._buffer[: self._wanted])
        del self._buffer[: self._wanted]
        found.append(message)
        self._message = None
        return True

    def _start(self, found: list[Message | KeepAlive]) -> bool:
        """Reads the header part, if it is all there; False when it is not."""
        if self._buffer[:4] == b"\r\n\r\n":
            del self._buffer[:4]
            found.append(KeepAlive())
            return True
        if self._buffer[:2] == b"\r\n" and (len(self._buffer) > 3 or self._buffer[2:3].strip(b"\r")):
            # The single CRLF of a pong, or one more behind a body.
            del self._buffer[:2]
            return True
        end = self._buffer.find(b"\r\n\r\n", max(self._searched - 3, 0))
        if end < 0:
            self._searched = len(self._buffer)
            if len(self._buffer) > self._limits.header_bytes:
                raise SipParseError(f"more than {self._limits.header_bytes} bytes of header fields", status=513)
            return False
        head = bytes(self._buffer[:end])
        message = parse_head(head, limits=self._limits)
        length = content_length(message)
        request = message if isinstance(message, Request) else None
        if length is None:
            raise SipParseError("needed on a stream", header="Content-Length", request=request)
        if length > self._limits.body_bytes:
            raise SipParseError(f"a body of {length} bytes is too long", status=413, request=request)
        del self._buffer[: end + 4]
        self._searched = 0
        self._message, self._wanted, self._head = message, length, end
        return True
