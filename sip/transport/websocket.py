"""SIP over WebSocket (RFC 7118), sans-IO: the bytes of one connection in and out, whole SIP messages beside them.

The protocol itself (RFC 6455) is the `websockets` library's, the `websocket` extra of the package.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..errors import MissingExtraError

try:
    from websockets.client import ClientProtocol
    from websockets.exceptions import InvalidHandshake, InvalidStatus
    from websockets.frames import CloseCode, Frame, Opcode
    from websockets.http11 import Request, Response
    from websockets.server import ServerProtocol
    from websockets.typing import Origin, Subprotocol
    from websockets.uri import parse_uri
except ModuleNotFoundError:
    raise MissingExtraError("WebSocket", extra="websocket") from None

from ..errors import WebSocketError
from ..message.parser import DEFAULT_LIMITS, Limits
from .websocket_settings import WebSocketSettings

SUBPROTOCOL = Subprotocol("sip")
# Of the opening handshake, which comes before anybody is known.
MAX_HANDSHAKE = 16384
# A message in pieces: more than that is no way to send one of bounded size.
MAX_FRAGMENTS = 1024


class SipWebSocket:
    """One connection, made by server() or client(). What data_to_send() returns has to be written after each call.

    `opened` tells that the opening handshake is done, `ended` that nothing more will come, `failure` why it never
    opened.
    """

    def __init__(self, protocol: ServerProtocol | ClientProtocol) -> None:
        self._protocol = protocol
        self._handshake = 0
        self._fragments: list[bytes] = []
        self._fragment_bytes = 0
        self._kind = Opcode.BINARY
        self._failed = False
        self.opened = False
        self.failure: str | None = None

    @classmethod
    def server(cls, settings: WebSocketSettings, limits: Limits = DEFAULT_LIMITS) -> SipWebSocket:
        """Returns the end of who is connected to; it answers the opening handshake by itself.

        A client that does not ask for the sub-protocol `sip` gets 400, one of another origin 403.
        """
        origins: Sequence[Origin | None] | None = None
        if settings.origins is not None:
            origins = (*(Origin(one) for one in settings.origins), None)
        return cls(
            ServerProtocol(
                origins=origins, subprotocols=[SUBPROTOCOL], max_size=_most(limits), logger=_silent("server")
            )
        )

    @classmethod
    def client(
        cls, host: str, port: int, settings: WebSocketSettings, limits: Limits = DEFAULT_LIMITS, *, secure: bool
    ) -> SipWebSocket:
        """Returns the end of who connects, its opening handshake ready to be sent."""
        name = f"[{host}]" if ":" in host else host
        uri = parse_uri(f"{'wss' if secure else 'ws'}://{name}:{port}{settings.path}")
        protocol = ClientProtocol(uri, subprotocols=[SUBPROTOCOL], max_size=_most(limits), logger=_silent("client"))
        protocol.send_request(protocol.connect())
        return cls(protocol)

    @property
    def ended(self) -> bool:
        """Whether the connection is to be closed."""
        return self.failure is not None or self._failed or self._protocol.close_expected()

    @property
    def partial(self) -> bool:
        """Whether a frame or a message has begun to come that is not all there."""
        return bool(self._fragments) or bool(self._protocol.reader.buffer)

    @property
    def held(self) -> int:
        """How many bytes are kept of a message that is not all there."""
        return len(self._protocol.reader.buffer) + self._fragment_bytes

    def data_to_send(self) -> bytes:
        """Returns what has to be written now."""
        return b"".join(self._protocol.data_to_send())

    def receive(self, data: bytes) -> list[bytes]:
        """Takes bytes of the connection and returns the messages that they complete, whether text or binary.

        Raises WebSocketError when the opening handshake is too long. What breaks RFC 6455, a message beyond the
        limits (before it is kept) or text that is not UTF-8 closes the connection by itself: see `ended`.
        """
        if not self.opened:
            self._handshake += len(data)
            if self._handshake > MAX_HANDSHAKE:
                raise WebSocketError(f"an opening handshake of more than {MAX_HANDSHAKE} bytes")
        self._protocol.receive_data(data)
        messages: list[bytes] = []
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                # What came in one piece with a handshake that was refused counts for nothing.
                if self.opened and not self._failed:
                    self._take(event, messages)
            elif isinstance(event, Request):
                self._answer(event)
            elif isinstance(event, Response):
                self._check(event)
        if not self.opened and self.failure is None and self._protocol.handshake_exc is not None:
            self.failure = str(self._protocol.handshake_exc)
        return messages

    def send(self, message: bytes) -> None:
        """Sends a SIP message: as text where it is UTF-8, else as binary (RFC 7118 5)."""
        if _is_text(message):
            self._protocol.send_text(message)
        else:
            self._protocol.send_binary(message)

    def ping(self) -> None:
        """Asks whether the other side is there; its answer is data received like any other."""
        self._protocol.send_ping(b"")

    def close(self) -> None:
        """Begins the closing handshake, where the opening one was done."""
        if self.opened and not self._protocol.close_expected():
            self._protocol.send_close(CloseCode.GOING_AWAY)

    def _answer(self, request: Request) -> None:
        assert isinstance(self._protocol, ServerProtocol)
        if self._protocol.close_expected():
            # What came behind the request, before our answer, was no WebSocket.
            self.failure = "no opening handshake"
            return
        response = self._protocol.accept(request)
        self._protocol.send_response(response)
        self.opened = response.status_code == 101
        if not self.opened:
            self.failure = f"answered {response.status_code}"

    def _check(self, response: Response) -> None:
        error = self._protocol.handshake_exc
        if isinstance(error, InvalidStatus):
            self.failure = f"the server answers {response.status_code} instead of opening a WebSocket"
        elif isinstance(error, InvalidHandshake):
            self.failure = str(error)
        elif self._protocol.subprotocol != SUBPROTOCOL:
            self.failure = "the server does not speak the WebSocket sub-protocol sip"
            self._fail(CloseCode.PROTOCOL_ERROR, "the sub-protocol sip is needed")
        else:
            self.opened = True

    def _take(self, frame: Frame, messages: list[bytes]) -> None:
        """Puts the frames of a message together; the library has seen to their order and their size."""
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._kind = frame.opcode
        elif frame.opcode is not Opcode.CONT:
            return
        self._fragments.append(bytes(frame.data))
        self._fragment_bytes += len(frame.data)
        if not frame.fin:
            if len(self._fragments) > MAX_FRAGMENTS:
                self._fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            return
        message = b"".join(self._fragments)
        self._forget_fragments()
        if self._kind is Opcode.TEXT and not _is_text(message):
            self._fail(CloseCode.INVALID_DATA, "text that is not UTF-8")
            return
        messages.append(message)

    def _fail(self, code: CloseCode, reason: str) -> None:
        """Closes the connection, unless that has been agreed on; what was behind the fault is dropped."""
        self._failed = True
        self._forget_fragments()
        if not self._protocol.close_expected():
            self._protocol.fail(code, reason)

    def _forget_fragments(self) -> None:
        self._fragments.clear()
        self._fragment_bytes = 0


def _most(limits: Limits) -> int:
    return limits.header_bytes + limits.body_bytes + 4


def _is_text(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True


def _silent(side: str) -> logging.Logger:
    """A logger of its own: that of the library would write messages, credentials and keys in them, into debug logs."""
    return logging.Logger(f"sip.websocket.{side}", logging.ERROR)
