"""Damages opening handshakes and frames of WebSockets: nothing but WebSocketError may come out, and no refused SIP.

Run by hand: python tests/fuzz/fuzz_websocket.py [SECONDS [SEED]]. A finding is printed with its input and ends the run
with status 1.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from damage import fuzz
from websockets.frames import Frame, Opcode

from sip.errors import WebSocketError
from sip.message.parser import Limits
from sip.transport.websocket import SipWebSocket
from sip.transport.websocket_settings import WebSocketSettings

LIMITS = Limits(header_bytes=600, body_bytes=400)
SETTINGS = WebSocketSettings(origins=("https://example.com",))
REQUEST = (
    b"GET /sip HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Origin: https://example.com\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: chat, sip\r\n\r\n"
)
RESPONSES = [
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: sip\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno\n\r\n0\r\n\r\n",
]
MESSAGE = b"OPTIONS sip:bob@example.com SIP/2.0\r\nX: \xc3\xa4\r\n\r\n"


def frame(opcode: Opcode, data: bytes, *, fin: bool = True, mask: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=mask, extensions=[])


FRAMES = [
    frame(Opcode.TEXT, MESSAGE),
    frame(Opcode.BINARY, MESSAGE * 10),
    frame(Opcode.TEXT, MESSAGE, fin=False) + frame(Opcode.PING, b"x") + frame(Opcode.CONT, b"body"),
    frame(Opcode.CLOSE, b"\x03\xe8bye"),
    frame(Opcode.TEXT, MESSAGE, mask=False),
]
PIECES = [
    b"\r\n",
    b"\r\n\r\n",
    b": ",
    b"sip",
    b"\x81\xfe",
    b"\x82\xff",
    b"\x88\x82",
    b"\xff" * 8,
    b"\0",
    b",",
    b"\x80\x80",
]
PIECES += [b"Sec-WebSocket-Protocol: sip\r\n", b"HTTP/1.1", b"Content-Length: 99999999999", b"\xc1", b"\xe9"]


def feed(socket: SipWebSocket, data: bytes) -> None:
    """Feeds it whole and in halves; no message comes out that the limits or the handshake forbid."""
    for part in (data[: len(data) // 2], data[len(data) // 2 :], data):
        try:
            messages = socket.receive(part)
        except WebSocketError:
            return
        assert socket.opened or not messages
        assert all(len(message) <= 1004 for message in messages)
        socket.data_to_send()
        if socket.opened and not socket.ended:
            socket.send(MESSAGE)
            socket.ping()
        if socket.ended:
            return


def check_request(data: bytes) -> None:
    socket = SipWebSocket.server(SETTINGS, LIMITS)
    with contextlib.suppress(WebSocketError):
        socket.receive(data)
        answer = socket.data_to_send()
        assert socket.opened == answer.startswith(b"HTTP/1.1 101 ")
        if socket.opened:
            assert b"Sec-WebSocket-Protocol: sip\r\n" in answer
            assert b"sip" in data
    feed(SipWebSocket.server(SETTINGS, LIMITS), data)


def check_response(data: bytes) -> None:
    feed(SipWebSocket.client("example.com", 80, SETTINGS, LIMITS, secure=False), data)


def check_frames(data: bytes) -> None:
    server = SipWebSocket.server(SETTINGS, LIMITS)
    server.receive(REQUEST)
    assert server.opened
    feed(server, data)


if __name__ == "__main__":
    checks = [(check_request, [REQUEST]), (check_response, RESPONSES), (check_frames, FRAMES)]
    sys.exit(fuzz(checks, PIECES, sys.argv[1:]))
