"""What others can make an endpoint keep is bounded by its settings: connections, transactions, bytes of a message."""

from __future__ import annotations

import asyncio

import pytest

from securertc import Endpoint, EndpointSettings, MediaSecurity, SecurityPolicy
from securertc.errors import CallRefusedError
from sip import Limits, LoadLimits

HOST = "127.0.0.1"
OPEN = SecurityPolicy(media=MediaSecurity.OFF)
PING = (
    b"OPTIONS sip:bob@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
    b"From: <sip:a@h>;tag=1\r\nTo: <sip:bob@127.0.0.1>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n%sContent-Length: 0\r\n\r\n"
)


async def answer_to(port: int, message: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(message)
    try:
        return await asyncio.wait_for(reader.read(1000), 2)
    finally:
        writer.close()


async def test_the_connections_of_one_address(nothing_left):
    limits = LoadLimits(source_connections=2)
    async with Endpoint(EndpointSettings("sip:bob@example.com", policy=OPEN, limits=limits)) as bob:
        port = (await bob.listen("tcp")).port
        opened = [await asyncio.open_connection(HOST, port) for _ in range(2)]
        await asyncio.sleep(0.1)
        assert await answer_to(port, PING % b"") == b""
        opened.pop()[1].close()
        await asyncio.sleep(0.1)
        assert (await answer_to(port, PING % b"")).startswith(b"SIP/2.0 200 ")
        opened.pop()[1].close()


async def test_the_size_of_a_message(nothing_left):
    limits = Limits(header_bytes=600, rows=10)
    async with Endpoint(EndpointSettings("sip:bob@example.com", policy=OPEN, message_limits=limits)) as bob:
        port = (await bob.listen("tcp")).port
        assert (await answer_to(port, PING % b"")).startswith(b"SIP/2.0 200 ")
        assert b"SIP/2.0 200" not in await answer_to(port, PING % (b"Subject: x\r\n" * 5))
        assert b"SIP/2.0 200" not in await answer_to(port, PING % (b"Subject: " + b"x" * 600 + b"\r\n"))


async def test_new_calls_are_shed_before_what_belongs_to_calls(nothing_left):
    """The call that stands is ended by its BYE, while a new one is refused."""
    answering = []

    def on_call(incoming):
        answering.append(asyncio.ensure_future(incoming.answer()))

    limits = LoadLimits(transactions=4, shed_at=0.25)
    bob = Endpoint(EndpointSettings("sip:bob@example.com", policy=OPEN, limits=limits), on_call=on_call)
    async with bob, Endpoint(EndpointSettings("sip:alice@example.com", policy=OPEN)) as alice:
        uri = f"sip:bob@{HOST}:{(await bob.listen('udp', HOST)).port}"
        call = await alice.call(uri)
        with pytest.raises(CallRefusedError) as refused:
            await alice.call(uri)
        assert refused.value.status == 503
        await call.hangup()
        theirs = await answering[0]
        assert await theirs.wait_ended() == "remote"
