"""SIP over WebSocket (RFC 7118), sans-IO: opening handshakes, messages, limits, bad input."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from sip.errors import WebSocketError
from sip.message.parser import Limits
from sip.transport.websocket import MAX_FRAGMENTS, MAX_HANDSHAKE, SipWebSocket
from sip.transport.websocket_settings import WebSocketSettings

LIMITS = Limits(header_bytes=2000, body_bytes=1000)
MESSAGE = b"OPTIONS sip:bob@example.com SIP/2.0\r\nX: \xc3\xa4\r\n\r\n"
BINARY = b"OPTIONS sip:bob@example.com SIP/2.0\r\n\r\n\xff\xfe"


def handshake(*lines, method="GET"):
    head = [
        f"{method} / HTTP/1.1",
        "Host: example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *lines,
    ]
    return ("\r\n".join(head) + "\r\n\r\n").encode()


def server(*lines, settings=None, **more):
    socket = SipWebSocket.server(settings or WebSocketSettings(), LIMITS)
    assert socket.receive(handshake(*lines, **more)) == []
    return socket, socket.data_to_send()


def pair():
    """Both ends of ours, open."""
    client = SipWebSocket.client("example.com", 80, WebSocketSettings(path="/sip"), LIMITS, secure=False)
    ours = SipWebSocket.server(WebSocketSettings(), LIMITS)
    request = client.data_to_send()
    ours.receive(request)
    client.receive(ours.data_to_send())
    assert client.opened
    assert ours.opened
    return client, ours, request


def foreign_client():
    """The library's own end, as somebody else would use it."""
    ours = SipWebSocket.server(WebSocketSettings(), LIMITS)
    client = ClientProtocol(parse_uri("ws://example.com/"), subprotocols=["sip"])
    client.send_request(client.connect())
    ours.receive(b"".join(client.data_to_send()))
    client.receive_data(ours.data_to_send())
    client.events_received()
    return client, ours


def test_the_handshake_of_rfc_6455_with_the_sub_protocol_of_rfc_7118():
    socket, answer = server("Sec-WebSocket-Protocol: sip", "Cookie: session=1", "Origin: https://example.com")
    assert socket.opened
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer  # RFC 6455 1.3
    assert b"Sec-WebSocket-Protocol: sip\r\n" in answer
    assert b"Extensions" not in answer


@pytest.mark.parametrize(
    ("lines", "status", "text"),
    [
        ((), 400, b"missing subprotocol"),
        (("Sec-WebSocket-Protocol: chat, xmpp",), 400, b"invalid subprotocol; expected one of sip"),
        (("Sec-WebSocket-Protocol: SIP",), 400, b"sip"),
    ],
)
def test_without_the_sub_protocol_sip_it_is_refused(lines, status, text):
    socket, answer = server(*lines)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert text in answer
    assert not socket.opened
    assert socket.ended


@pytest.mark.parametrize("line", ["Origin: https://evil.example", "X: y"])
def test_messages_right_behind_a_handshake_that_is_refused(line):
    """Found by fuzzing: in one piece with it they got past the sub-protocol and the origin."""
    frame = Frame(Opcode.TEXT, MESSAGE).serialize(mask=True, extensions=[])
    socket = SipWebSocket.server(WebSocketSettings(origins=("https://example.com",)), LIMITS)
    protocol = "Sec-WebSocket-Protocol: sip" if line.startswith("Origin") else "X: z"
    assert socket.receive(handshake(line, protocol) + frame) == []
    assert socket.data_to_send().startswith(b"HTTP/1.1 40")
    assert socket.ended
    taken = SipWebSocket.server(WebSocketSettings(), LIMITS)
    assert taken.receive(handshake("Sec-WebSocket-Protocol: sip") + frame) == [MESSAGE]


def test_of_several_sub_protocols_sip_is_chosen():
    socket, answer = server("Sec-WebSocket-Protocol: chat, sip")
    assert socket.opened
    assert b"Sec-WebSocket-Protocol: sip\r\n" in answer


@pytest.mark.parametrize(
    ("origin", "opened"),
    [("https://example.com", True), ("https://evil.example", False), ("http://example.com", False), (None, True)],
)
def test_origins(origin, opened):
    lines = ["Sec-WebSocket-Protocol: sip"] + ([] if origin is None else [f"Origin: {origin}"])
    socket, answer = server(*lines, settings=WebSocketSettings(origins=("https://example.com",)))
    assert socket.opened == opened
    assert answer.startswith(b"HTTP/1.1 101 " if opened else b"HTTP/1.1 403 ")


@pytest.mark.parametrize("data", [b"OPTIONS sip:x SIP/2.0\r\n\r\n", b"\x16\x03\x01\0\0\0", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_no_opening_handshake(data):
    socket = SipWebSocket.server(WebSocketSettings(), LIMITS)
    assert socket.receive(data + b"\r\n\r\n") == []
    assert not socket.opened
    assert socket.ended


def test_a_handshake_without_end():
    socket = SipWebSocket.server(WebSocketSettings(), LIMITS)
    socket.receive(b"GET / HTTP/1.1\r\n")
    for _ in range((MAX_HANDSHAKE - 16) // 200):
        socket.receive(b"A: " + b"x" * 195 + b"\r\n")
    assert not socket.ended
    with pytest.raises(WebSocketError):
        socket.receive(b"B: " + b"x" * 300)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404"),
        (b"SIP/2.0 200 OK\r\n\r\n", "HTTP response"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "Accept"),
    ],
)
def test_a_server_that_opens_no_websocket(answer, why):
    client = SipWebSocket.client("example.com", 80, WebSocketSettings(), LIMITS, secure=False)
    client.receive(answer)
    assert not client.opened
    assert client.ended
    assert why in client.failure


@pytest.mark.parametrize("chosen", [None, "chat"])
def test_a_server_without_the_sub_protocol_is_left(chosen):
    foreign = ServerProtocol(subprotocols=None if chosen is None else [chosen])
    client = SipWebSocket.client("example.com", 80, WebSocketSettings(), LIMITS, secure=False)
    foreign.receive_data(client.data_to_send())
    response = foreign.accept(foreign.events_received()[0])
    if chosen is not None:
        # It chooses what nobody offered.
        foreign = ServerProtocol()
        response.status_code, response.reason_phrase = 101, "Switching Protocols"
    foreign.send_response(response)
    client.receive(b"".join(foreign.data_to_send()))
    assert not client.opened
    assert client.ended
    assert client.failure
    assert client.receive(b"\x81\x02hi") == []


def test_the_request_of_a_client():
    _, _, request = pair()
    assert request.startswith(b"GET /sip HTTP/1.1\r\n")
    assert b"Host: example.com\r\n" in request
    assert b"Sec-WebSocket-Protocol: sip\r\n" in request
    assert b"Origin" not in request
    assert b"Cookie" not in request
    assert b"Authorization" not in request


def test_text_where_it_is_utf_8_else_binary():
    client, foreign = foreign_client()
    for message, opcode in ((MESSAGE, Opcode.TEXT), (BINARY, Opcode.BINARY)):
        foreign.send(message)
        client.receive_data(foreign.data_to_send())
        (frame,) = client.events_received()
        assert (frame.opcode, frame.data, frame.fin) == (opcode, message, True)


def test_text_and_binary_whole_and_in_fragments_with_a_ping_between():
    client, ours = foreign_client()
    client.send_text(MESSAGE)
    client.send_binary(BINARY)
    client.send_text(MESSAGE[:41], fin=False)  # in the middle of a character
    client.send_ping(b"are you there")
    client.send_continuation(MESSAGE[41:], fin=True)
    assert ours.receive(b"".join(client.data_to_send())) == [MESSAGE, BINARY, MESSAGE]
    client.receive_data(ours.data_to_send())
    assert [(one.opcode, bytes(one.data)) for one in client.events_received()] == [(Opcode.PONG, b"are you there")]


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_messages_come_out_as_they_went_in_however_they_are_cut(messages, size):
    client, ours, _ = pair()
    for message in messages:
        client.send(message)
    wire = client.data_to_send()
    found = []
    for start in range(0, len(wire), size):
        found += ours.receive(wire[start : start + size])
    assert found == messages


@given(st.binary(max_size=400), st.booleans())
def test_garbage_ends_the_connection_and_nothing_else(data, opened):
    socket = foreign_client()[1] if opened else SipWebSocket.server(WebSocketSettings(), LIMITS)
    for _ in range(3):
        for message in socket.receive(data):
            assert len(message) <= 3004
        socket.data_to_send()


def refused(ours, data):
    """The close code that data is answered with."""
    assert ours.receive(data) == []
    assert ours.ended
    wire = ours.data_to_send()
    assert wire[0] == 0x88
    return int.from_bytes(wire[2:4], "big")


def test_a_message_beyond_the_limits_is_refused_by_its_header():
    """Nothing of it has come, and nothing is kept: 14 bytes announce 2^62."""
    _, ours = foreign_client()
    assert refused(ours, b"\x82\xff" + (1 << 62).to_bytes(8, "big") + bytes(4)) == 1009


def test_fragments_count_together():
    client, ours = foreign_client()
    client.send_binary(bytes(2000), fin=False)
    assert ours.receive(b"".join(client.data_to_send())) == []
    client.send_continuation(bytes(1005), fin=True)
    assert refused(ours, b"".join(client.data_to_send())) == 1009


def test_fragments_of_nothing_without_end():
    client, ours = foreign_client()
    client.send_binary(b"", fin=False)
    for _ in range(MAX_FRAGMENTS):
        client.send_continuation(b"", fin=False)
    assert refused(ours, b"".join(client.data_to_send())) == 1009


def test_text_that_is_none():
    _, ours = foreign_client()
    frame = Frame(Opcode.TEXT, BINARY).serialize(mask=True, extensions=[])
    assert refused(ours, frame) == 1007


@pytest.mark.parametrize("data", [b"\x81\x02hi", b"\xc1\x80\0\0\0\0", b"\x80\x80\0\0\0\0", b"\x83\x80\0\0\0\0"])
def test_what_breaks_the_protocol(data):
    """Not masked, a reserved bit, a continuation of nothing, an opcode that is none."""
    assert refused(foreign_client()[1], data) == 1002


def test_what_stands_in_one_piece_with_a_fault_or_an_end():
    """Before the closing frame it counts, behind a fault it does not."""
    text, none, close = (
        Frame(opcode, data).serialize(mask=True, extensions=[])
        for opcode, data in ((Opcode.TEXT, MESSAGE), (Opcode.TEXT, BINARY), (Opcode.CLOSE, b"\x03\xe8"))
    )
    _, ours = foreign_client()
    assert ours.receive(text + close + text) == [MESSAGE]
    assert ours.ended
    _, ours = foreign_client()
    assert ours.receive(text + none + text) == [MESSAGE]
    assert ours.ended
    _, ours = foreign_client()
    assert ours.receive(none + close) == []
    assert ours.ended
    assert ours.data_to_send()


def test_a_message_after_its_end_is_dropped():
    client, ours, _ = pair()
    client.close()
    wire = client.data_to_send()
    assert ours.receive(wire + wire) == []
    assert ours.ended
    assert client.ended


def test_nothing_of_messages_goes_to_the_log(caplog):
    caplog.set_level("DEBUG")
    client, ours, _ = pair()
    client.send(b"secret")
    ours.receive(client.data_to_send())
    assert not caplog.records
