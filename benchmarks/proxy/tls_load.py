"""Calls through a proxy by TLS with Digest, since Debian's sipp has no TLS: caller and callee in one process.

    python benchmarks/proxy/tls_load.py PROXY CALLEE FOLDER --rate N --seconds S

PROXY and CALLEE are ports; FOLDER has ca.pem, callee.crt and callee.key. Over this package's messages, stream
parser and Digest client, with no transactions: TLS loses nothing, so that whatever is missing at the end is a failed
call. Each call is challenged anew, as by callers who do not know each other: INVITE, 407, ACK, INVITE, 180, 200, ACK,
BYE, 407, BYE, 200.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from sip import Credentials, DigestClient, Request, Response, SipUri, client_context, server_context
from sip.message import StreamParser

REALM = "127.0.0.1"
GRACE = 8.0  # seconds to answer what is still open at the end
SDP = (
    b"v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)


class Connection(asyncio.Protocol):
    """One TLS connection; every message that comes goes to `take`."""

    def __init__(self, take) -> None:
        self._take = take
        self._parser = StreamParser()
        self.transport: asyncio.Transport

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        for message in self._parser.feed(data):
            if isinstance(message, (Request, Response)):
                self._take(message, self.transport)


def answer(request: Request, transport: asyncio.Transport) -> None:
    """What the callee does: rings and answers, and ends when it is told to."""
    if request.method == "INVITE":
        contact = "<sip:127.0.0.1:{};transport=tls>".format(transport.get_extra_info("sockname")[1])
        for status in (180, 200):
            response = request.create_response(status, to_tag="callee")
            response.headers.add("Contact", contact)
            if status == 200:
                response.headers.add("Content-Type", "application/sdp")
                response.body = SDP
            transport.write(response.serialize())
    elif request.method == "BYE":
        transport.write(request.create_response(200).serialize())


@dataclass
class Call:
    """What the caller knows of one call."""

    invite: Request
    digest: DigestClient
    bye: Request | None = None


@dataclass
class Caller:
    """All calls, over one connection; `succeeded` ended by the 200 to their BYE."""

    port: int
    transport: asyncio.Transport | None = None
    calls: dict[str, Call] = field(default_factory=dict)
    succeeded: int = 0
    refused: int = 0
    _branches: int = 0
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _expected: int = -1

    async def all_over(self, calls: int) -> None:
        """Waits until so many calls have ended."""
        self._expected = calls
        if self.succeeded + self.refused < calls:
            await self._over.wait()

    def start(self, number: int) -> None:
        """Sends the INVITE of a call."""
        call_id = f"{number}-{id(self):x}@127.0.0.1"
        invite = self._request("INVITE", f"sip:service@127.0.0.1:{self.port};transport=tls", call_id, 1)
        invite.headers.add("Contact", "<sip:sipp@127.0.0.1:9;transport=tls>")
        invite.headers.add("Content-Type", "application/sdp")
        invite.body = SDP
        credentials = Credentials(REALM, "alice", "wonderland", destinations=("127.0.0.1",))
        self.calls[call_id] = Call(invite, DigestClient((credentials,)))
        self._send(invite)

    def take(self, response: Response, transport: asyncio.Transport) -> None:
        """Goes on with a call."""
        call = self.calls.get(response.call_id)
        if call is None or response.provisional:
            return
        invited = response.cseq.method == "INVITE"
        request = call.invite if invited else call.bye
        if response.status == 407 and request is not None:
            if invited:
                self._acknowledge(call, response, request.headers.get("Via"))
            call.digest.authorize(request, response, source="127.0.0.1")
            self._again(request)
        elif response.status == 200 and invited:
            self._accepted(call, response)
        else:
            self.succeeded += response.status == 200
            self.refused += response.status != 200
            del self.calls[response.call_id]
            if self.succeeded + self.refused == self._expected:
                self._over.set()

    def _accepted(self, call: Call, response: Response) -> None:
        self._acknowledge(call, response, None)
        if call.bye is None:
            call.bye = self._in_dialog("BYE", response, response.cseq.number + 1)
            self._send(call.bye)

    def _acknowledge(self, call: Call, response: Response, via: str | None) -> None:
        number = response.cseq.number
        if via is None:
            self._send(self._in_dialog("ACK", response, number))
            return
        ack = self._request("ACK", str(call.invite.uri), response.call_id, number, to=response.headers.get("To"))
        ack.headers.set("Via", via)
        self._send(ack)

    def _in_dialog(self, method: str, response: Response, number: int) -> Request:
        uri = str(response.contacts[0].uri)
        request = self._request(method, uri, response.call_id, number, to=response.headers.get("To"))
        for route in reversed(response.record_routes):
            request.headers.add("Route", str(route))
        return request

    def _request(self, method: str, uri: str, call_id: str, number: int, *, to: str | None = None) -> Request:
        request = Request(method, SipUri.parse(uri))
        request.headers.add("Via", self._via())
        request.headers.add("From", "<sip:alice@127.0.0.1>;tag=caller")
        request.headers.add("To", to or "<sip:service@127.0.0.1>")
        request.headers.add("Call-ID", call_id)
        request.headers.add("CSeq", f"{number} {method}")
        request.headers.add("Max-Forwards", "70")
        return request

    def _via(self) -> str:
        self._branches += 1
        return f"SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK{id(self):x}{self._branches}"

    def _again(self, request: Request) -> None:
        request.headers.set("Via", self._via())
        request.headers.set("CSeq", f"{request.cseq.number + 1} {request.method}")
        self._send(request)

    def _send(self, request: Request) -> None:
        assert self.transport is not None
        self.transport.write(request.serialize())


async def run(proxy: int, callee: int, folder: Path, rate: int, seconds: float) -> dict[str, float]:
    """Makes the calls; returns how many succeeded and failed, and the rate at which they were started."""
    loop = asyncio.get_running_loop()
    shown = server_context(folder / "callee.crt", folder / "callee.key")
    server = await loop.create_server(lambda: Connection(answer), "127.0.0.1", callee, ssl=shown)
    trusted = client_context(ca_file=folder / "ca.pem")
    caller = Caller(proxy)
    transport, _ = await loop.create_connection(
        lambda: Connection(caller.take), "127.0.0.1", proxy, ssl=trusted, server_hostname="127.0.0.1"
    )
    caller.transport = transport
    return await _calls(caller, server, rate, seconds)


async def _calls(caller: Caller, server: asyncio.Server, rate: int, seconds: float) -> dict[str, float]:
    begun, number, total = time.monotonic(), 0, int(rate * seconds)
    while number < total:
        due = min(total, int((time.monotonic() - begun) * rate) + 1)
        while number < due:
            caller.start(number)
            number += 1
        await asyncio.sleep(0.002)
    started = total / (time.monotonic() - begun)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            await caller.all_over(total)
    server.close()
    return {"succeeded": caller.succeeded, "failed": total - caller.succeeded, "rate": started}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proxy", type=int)
    parser.add_argument("callee", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    found = asyncio.run(run(options.proxy, options.callee, options.folder, options.rate, options.seconds))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
