"""Damaged requests, in and out of dialogs, at a whole endpoint: each is answered or dropped, and it runs on."""

from __future__ import annotations

import asyncio
import random

import pytest
from damage import damage

from securertc import Endpoint, EndpointSettings, IncomingCall, MediaSecurity, SecureRtcError, SecurityPolicy
from sip import Response, SipParseError, Timers, parse_message

REQUESTS = 1200
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 8 101\r\n"
    b"a=rtpmap:0 PCMU/8000\r\n"
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj|2^20|1:4\r\n"
    b"a=rtcp-mux\r\na=sendrecv\r\n"
)
PIECES = [b"\r\n", b"\0", b'"', b"<", b">", b",", b";", b":", b"@", b"tag=", b"-1", b"99999999999", b"0", b"\xff"]
PIECES += [b"RTP/SAVP", b"sips:", b"tel:", b"tls", b"Require: x\r\n", b"Route: <sip:x>\r\n", b"c=IN IP4 0.0.0.0\r\n"]
FAST = Timers(t1=0.01, t2=0.04, t4=0.05, completed_invite=0.1)


class Peer(asyncio.DatagramProtocol):
    """Makes requests of dialogs 1, 2, …, sends them damaged, and remembers the dialogs that were accepted.

    `last` is the status of the answer to request number REQUESTS.
    """

    def __init__(self, seed: int, target: tuple[str, int]) -> None:
        self.rng = random.Random(seed)
        self.target = target
        self.statuses: set[int] = set()
        self.dialogs: list[tuple[int, str, int]] = []
        self.last: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr) -> None:
        try:
            message = parse_message(data)
        except SipParseError:
            # What lacked a header field is refused without it (RFC 3261 8.1.3.2, RFC 4475 3.3.1).
            assert data.startswith((b"SIP/2.0 4", b"SIP/2.0 5"))
            return
        if not isinstance(message, Response):
            return
        self.statuses.add(message.status)
        number = message.call_id.removeprefix("c")
        if number == str(REQUESTS) and not self.last.done():
            self.last.set_result(message.status)
        if message.status == 200 and message.cseq.method == "INVITE" and number.isdigit():
            self.dialogs.append((int(number), message.to.tag or "", message.cseq.number))

    def request(self, method: str, number: int, *, tag: str = "", cseq: int = 1, body: bytes = b"") -> bytes:
        lines = [
            f"{method} sip:bob@127.0.0.1 SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{self.rng.getrandbits(64):x};rport",
            f'From: "A" <sip:alice@127.0.0.1>;tag=f{number}',
            f"To: <sip:bob@127.0.0.1>{tag and f';tag={tag}'}",
            f"Call-ID: c{number}",
            f"CSeq: {cseq} {method}",
            "Max-Forwards: 70",
            f"Contact: <sip:alice@127.0.0.1:{self.port}>",
            f"Record-Route: <sip:127.0.0.1:{self.port};lr>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def next_request(self, number: int) -> bytes:
        rng = self.rng
        if self.dialogs and rng.random() < 0.6:
            dialog, tag, cseq = rng.choice(self.dialogs[-20:])
            method = rng.choice(("INVITE", "INVITE", "ACK", "ACK", "BYE", "OPTIONS", "UPDATE"))
            body = SDP if method != "BYE" and rng.random() < 0.8 else b""
            data = self.request(method, dialog, tag=tag, cseq=cseq + rng.randrange(9), body=body)
        else:
            method = rng.choice(("INVITE", "INVITE", "INVITE", "INVITE", "CANCEL", "BYE", "OPTIONS"))
            data = self.request(method, number, body=SDP if method == "INVITE" else b"")
        kind = rng.random()
        if kind < 0.4:
            return damage(rng, data, [data, SDP], PIECES)
        if kind < 0.75:  # the body alone, or else hardly any gets as far as SDP
            head, _, body = data.partition(b"\r\n\r\n")
            lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
            return b"\r\n".join([*lines, b"", damage(rng, body or b"x", [SDP], PIECES)])
        return data

    def send(self, data: bytes) -> None:
        self.transport.sendto(data, self.target)


@pytest.mark.parametrize("media", MediaSecurity)
async def test_damaged_requests_leave_the_endpoint_running(nothing_left, media):
    failures: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context))
    answering: set[asyncio.Task[None]] = set()

    async def answer(incoming: IncomingCall) -> None:
        try:
            await incoming.answer()
        except SecureRtcError:
            return

    def on_call(incoming: IncomingCall) -> None:
        answering.add(asyncio.ensure_future(answer(incoming)))

    policy = SecurityPolicy(media=media, allow_cleartext_keys=True)
    limits = {"answer_timeout": 1.0, "media_timeout": 2.0, "max_calls": 40}
    async with Endpoint(
        EndpointSettings("sip:bob@127.0.0.1", policy=policy, timers=FAST, **limits), on_call=on_call
    ) as bob:
        address = await bob.listen("udp", "127.0.0.1")
        _, peer = await loop.create_datagram_endpoint(
            lambda: Peer(20261123, ("127.0.0.1", address.port)), ("127.0.0.1", 0)
        )
        for number in range(1, REQUESTS):
            peer.send(peer.next_request(number))
            await asyncio.sleep(0.002 if number % 4 == 0 else 0)
        last = peer.request("OPTIONS", REQUESTS)
        for _ in range(50):  # the flood may have cost this datagram too
            if not peer.last.done():
                peer.send(last)
                await asyncio.sleep(0.1)
        assert peer.last.result() == 200
        assert peer.dialogs
        assert {200, 400, 481, 488} <= peer.statuses
    peer.transport.close()
    assert failures == []
    for task in answering:
        assert task.done()
        task.result()
    assert not bob.calls
    assert (bob.user_agent.active_dialogs, bob.user_agent.active_transactions) == (0, 0)
