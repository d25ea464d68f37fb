"""Calls that nobody has answered hold no descriptors, one source has few of them, and descriptors bound the calls."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
from collections.abc import Callable

import pytest
from proxy_stage import make_request
from virtual_network import Network, run

from rtp import RtpError
from securertc import CallRefusedError, Endpoint, EndpointSettings, IncomingCall, MediaSecurity, SecurityPolicy
from securertc.call.descriptors import calls_that_fit
from sip import LoadLimits, parse_message

HOST = "127.0.0.1"
OPEN = SecurityPolicy(media=MediaSecurity.OFF)
SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes], None]) -> None:
        self._heard = received

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._heard(data)


class Stranger:
    """Sends INVITEs by UDP, each a call of its own, and keeps what final answers come."""

    def __init__(self, port: int) -> None:
        self.statuses: list[int] = []
        self._port = port
        self._sent = 0

    async def __aenter__(self) -> Stranger:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Socket(self._received), local_addr=(HOST, 0))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()

    def _received(self, data: bytes) -> None:
        status = int(data.split(b" ", 2)[1])
        if status >= 200:
            self.statuses.append(status)

    def invite(self, *, offer: bool = True) -> None:
        self._sent += 1
        host, port = self._transport.get_extra_info("sockname")
        body = SDP if offer else ""
        self._transport.sendto(
            (
                f"INVITE sip:bob@{HOST} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{port}{self._sent}\r\n"
                f"Max-Forwards: 70\r\nFrom: <sip:s@example.org>;tag={self._sent}\r\nTo: <sip:bob@{HOST}>\r\n"
                f"Call-ID: {port}{self._sent}\r\nCSeq: 1 INVITE\r\nContact: <sip:s@{host}:{port}>\r\n"
                f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            ).encode(),
            (HOST, self._port),
        )


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def until(condition) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that in five seconds")


@pytest.mark.parametrize("offer", [True, False], ids=["offer", "no offer"])
@pytest.mark.parametrize("ringing", [False, True], ids=["silent", "ringing"])
async def test_unanswered_calls_take_no_descriptors(offer, ringing):
    calls: list[IncomingCall] = []

    def on_call(incoming: IncomingCall) -> None:
        calls.append(incoming)
        if ringing:
            incoming.ring()

    settings = EndpointSettings("sip:bob@example.com", policy=OPEN, source_unanswered=100)
    async with Endpoint(settings, on_call=on_call) as bob, Stranger((await bob.listen("udp", HOST)).port) as stranger:
        before = descriptors()
        for _ in range(100):
            stranger.invite(offer=offer)
        await until(lambda: len(calls) == 100)
        assert descriptors() == before


@pytest.mark.parametrize("bound", [1, 5, 32])
async def test_one_source_has_so_many_unanswered_calls(bound):
    """The next ones hear 486; others, and answered or refused calls, have their places."""
    calls: list[IncomingCall] = []
    settings = EndpointSettings("sip:bob@example.com", policy=OPEN, source_unanswered=bound)
    assert bound != 32 or EndpointSettings("sip:bob@example.com").source_unanswered == 32
    async with Endpoint(settings, on_call=calls.append) as bob:
        async with Stranger((await bob.listen("udp", HOST)).port) as stranger:
            for _ in range(bound + 3):
                stranger.invite()
            await until(lambda: len(stranger.statuses) == 3)
            assert stranger.statuses == [486] * 3
            assert len(calls) == bound
            calls.pop().reject(603)
            await until(lambda: len(stranger.statuses) == 4)
            stranger.invite()
            await until(lambda: len(calls) == bound)
            assert stranger.statuses == [486] * 3 + [603]


def test_sources_are_counted_as_networks():
    """Of IPv6 a /64 is one source, or one subscriber would be as many as he likes."""
    bob, statuses, calls = ("2001:db8:b::1", 5060), [], []

    def see(data, source, destination):
        if source == bob:
            statuses.append((parse_message(data).status, destination[0]))
        return True  # nobody is there

    network = Network(drops=see)

    async def script():
        settings = EndpointSettings("sip:bob@example.com", policy=OPEN, source_unanswered=1)
        async with Endpoint(settings, on_call=calls.append) as endpoint:
            await endpoint.listen("udp", *bob)
            for number, host in enumerate(("2001:db8::1", "2001:db8::ffff", "2001:db8:0:1::1")):
                via = f"SIP/2.0/UDP [{host}]:5060"
                invite = make_request("INVITE", "sip:bob@example.com", branch=f"z9hG4bK{number}", via=via)
                invite.headers.set("Call-ID", str(number))
                network.sockets[bob].arrived(invite.serialize(), (host, 5060))
                await asyncio.sleep(0.1)
            for call in calls:
                call.reject(603)

    run(network, script)
    assert [one for one in statuses if one[0] == 486] == [(486, "2001:db8::ffff")]
    assert len(calls) == 2


async def test_a_call_that_is_answered_has_its_ports():
    answered = []

    async def on_call(incoming: IncomingCall) -> None:
        answered.append(await incoming.answer())

    bob = Endpoint(EndpointSettings("sip:bob@example.com", policy=OPEN), on_call=on_call)
    async with bob, Endpoint(EndpointSettings("sip:alice@example.com", policy=OPEN)) as alice:
        call = await alice.call(f"sip:bob@{HOST}:{(await bob.listen('udp', HOST)).port}")
        assert call.agreed is not None
        await until(lambda: answered)
        assert call.agreed.remote_port == answered[0]._media.local_port
        await call.hangup()


async def test_without_ports_the_caller_hears_500(monkeypatch):
    failed = []

    async def on_call(incoming: IncomingCall) -> None:
        try:
            await incoming.answer()
        except (OSError, RtpError) as error:
            failed.append(error)

    def none_free(_: object) -> None:
        raise RtpError("no pair of ports is free")

    bob = Endpoint(EndpointSettings("sip:bob@example.com", policy=OPEN), on_call=on_call)
    async with bob, Endpoint(EndpointSettings("sip:alice@example.com", policy=OPEN)) as alice:
        uri = f"sip:bob@{HOST}:{(await bob.listen('udp', HOST)).port}"
        monkeypatch.setattr(bob, "open_media", none_free)
        with pytest.raises(CallRefusedError) as refused:
            await alice.call(uri)
        assert refused.value.status == 500
        assert len(failed) == 1
        assert not bob._incoming_calls


@pytest.mark.parametrize("soft", [256, 1024, 4096, resource.RLIM_INFINITY])
def test_calls_by_descriptors(monkeypatch, soft):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    fitting = calls_that_fit(1000, connections=100)
    if soft == resource.RLIM_INFINITY:
        assert fitting == 1000
    else:
        assert 1 <= fitting <= 1000
        assert 2 * fitting + 100 <= soft
    assert calls_that_fit(3, connections=100) == 3


async def test_too_few_descriptors_are_said_at_start_and_bound_the_calls(monkeypatch, caplog):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 100))
    calls: list[IncomingCall] = []
    limits = LoadLimits(1000, 1000, connections=10)
    settings = EndpointSettings("sip:bob@example.com", policy=OPEN, limits=limits)
    with caplog.at_level(logging.WARNING):
        async with Endpoint(settings, on_call=calls.append) as bob:
            assert bob.call_limit == (100 - 10 - 64) // 2
            async with Stranger((await bob.listen("udp", HOST)).port) as stranger:
                assert "100 descriptors, which is for 13 calls at once and not for max_calls=1000" in caplog.text
                for _ in range(15):
                    stranger.invite()
                await until(lambda: len(stranger.statuses) == 2)
                assert stranger.statuses == [486, 486]
                assert len(calls) == 13
