"""Who connects and says nothing loses its place: soon by itself, at once when somebody needs it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from peers.authority import TestAuthority
from stream_peers import HOST, OPTIONS, STREAMS, Peer, frame, serving, until

import sip
from securertc.cli import main
from sip import client_context, server_context
from sip.message.parser import parse_message
from sip.proxy.server import Listener, ProxyServer
from sip.source import source_of
from sip.transaction.load_limits import Admission, LoadLimits
from sip.transport.connection_places import IDLE_TIMEOUT, ConnectionPlaces
from sip.transport.descriptors import allowed_connections, raise_descriptor_limit

pytestmark = pytest.mark.every_loop
# What is no message, by transports with frames and without.
NOTHINGS = {"nothing": b"", "CRLFs": b"\r\n\r\n", "one CRLF": b"\r\n", "part of a message": OPTIONS[:-4]}
NOTHING_BY_FRAMES = {
    "nothing": b"",
    "pings": frame(0x9, b"x"),
    "CRLFs": frame(0x1, b"\r\n\r\n"),
    "part": b"\x01\x80" + bytes(4),
}
CASES = [(one, what) for one in ("tcp", "tls") for what in NOTHINGS]
CASES += [(one, what) for one in ("ws", "wss") for what in NOTHING_BY_FRAMES]


@pytest.mark.parametrize(("transport", "what"), CASES)
async def test_a_connection_has_a_while_for_its_first_message(authority: TestAuthority, transport, what):
    data = (NOTHING_BY_FRAMES if transport in ("ws", "wss") else NOTHINGS)[what]
    async with serving(transport, authority, first_message=0.5) as (layer, port):
        peer = await Peer.connect(transport, port)

        async def keep_on():
            while True:
                peer.writer.write(data)
                await asyncio.sleep(0.1)

        keeping = asyncio.ensure_future(keep_on())
        await until(lambda: layer.connections == 1)
        assert await peer.ended()
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await keeping
        peer.close()
        await until(lambda: layer.connections == 0)
        assert layer.got == []


@pytest.mark.parametrize("transport", STREAMS)
async def test_who_has_said_something_may_stay(authority, transport):
    async with serving(transport, authority, first_message=0.3) as (layer, port):
        peer = await Peer.connect(transport, port)
        peer.send(OPTIONS)
        await until(lambda: layer.got)
        assert not await peer.ended(0.6)
        assert layer.connections == 1
        peer.close()


@pytest.mark.parametrize("transport", ["ws", "wss", "tls", "tcp"])
async def test_a_handshake_that_never_begins_ends_too(authority, monkeypatch, transport):
    monkeypatch.setattr("sip.transport.tls_accept.HANDSHAKE_TIMEOUT", 0.3)
    monkeypatch.setattr("sip.transport.websocket_flow.HANDSHAKE_TIMEOUT", 0.3)
    async with serving(transport, authority, first_message=0.3) as (layer, port):
        reader, writer = await asyncio.open_connection(HOST, port)
        await until(lambda: layer.connections == 1)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await until(lambda: layer.connections == 0)


@pytest.mark.parametrize("transport", STREAMS)
async def test_the_silent_make_room_for_who_speaks(authority, transport):
    """All places held by silent connections: who comes is served all the same, and so is who was served before."""
    async with serving(transport, authority, max_connections=4) as (layer, port):
        served = await Peer.connect(transport, port)
        served.send(OPTIONS)
        await until(lambda: len(layer.got) == 1)
        silent = [await asyncio.open_connection(HOST, port) for _ in range(8)]
        await until(lambda: layer.connections == 4)
        come = await Peer.connect(transport, port)
        come.send(OPTIONS)
        await until(lambda: len(layer.got) == 2)
        served.send(OPTIONS)
        await until(lambda: len(layer.got) == 3)
        assert layer.connections <= 4
        for _, writer in silent:
            writer.close()
        served.close()
        come.close()


async def test_who_shows_a_certificate_does_not_make_room(authority):
    context = server_context(authority.issue("alice"), client_ca_file=authority.ca_path)
    async with serving("tcp", max_connections=3) as (layer, tcp):
        port = (await layer.listen("tls", HOST, tls=context)).port
        shown = client_context(ca_file=authority.ca_path, certificate=authority.issue("bob"))
        reader, writer = await asyncio.open_connection(HOST, port, ssl=shown, server_hostname="localhost")
        await until(lambda: layer.connections == 1)
        others = [await asyncio.open_connection(HOST, tcp) for _ in range(8)]
        for _, other in others:
            other.write(OPTIONS)
        await until(lambda: layer.connections == 3)
        await asyncio.sleep(0.1)
        writer.write(OPTIONS)
        await until(lambda: any(flow.certificate for _, flow in layer.got))
        for _, other in [*others, (reader, writer)]:
            other.close()


class Connection:
    """A place's holder without a network."""

    def __init__(self, host: str = "192.0.2.1", *, accepted: bool = True) -> None:
        self.remote = (host, 5)
        self.accepted = accepted
        self.last_used = time.monotonic()
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True

    close = abort


def test_who_goes_first():
    """The silent before those heard, the longest quiet first; the proven and our own never, unless idle for long."""
    places = ConnectionPlaces(5, None)
    proven, own, heard, later, silent = (Connection(accepted=index != 1) for index in range(5))
    for one in (proven, own, heard, later, silent):
        assert places.take(one)
    for one in (proven, heard, later, heard):
        places.heard(one)
    places.proven(proven)
    for expected in (silent, later, heard):
        newcomer = Connection()
        assert places.take(newcomer)
        places.proven(newcomer)
        assert expected.aborted
    assert not places.take(Connection())
    assert not proven.aborted
    assert not own.aborted
    assert len(places) == 5


def test_the_proven_give_their_places_when_they_are_idle_for_an_hour():
    places = ConnectionPlaces(3, None)
    held = [Connection(f"192.0.2.{index}") for index in range(3)]
    for one in held:
        assert places.take(one)
        places.proven(one)
    assert not places.take(Connection())
    held[1].last_used -= IDLE_TIMEOUT + 1
    assert places.take(Connection())
    assert [one.aborted for one in held] == [False, True, False]
    assert len(places) == 3


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_what_is_one_source(one, other, same):
    assert (source_of(one) == source_of(other)) == same
    places = ConnectionPlaces(10, 1)
    assert places.take(Connection(one))
    assert places.take(Connection(other)) is not same
    admission = Admission(LoadLimits(source_transactions=1, shed_at=1.0))
    request = parse_message(OPTIONS)
    assert admission.refuse(request, one) is None
    assert (admission.refuse(request, other) is not None) == same


def test_counts_of_a_source_come_back_to_nothing():
    places = ConnectionPlaces(10, 2)
    held = [Connection(f"2001:db8::{index}") for index in range(4)]
    assert [places.take(one) for one in held] == [True, True, False, False]
    for one in held:
        places.release(one)
    assert len(places) == 0
    assert places.take(held[2])


# Descriptors.

_SERVER = """
import asyncio, os, resource, signal, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from sip.transport.layer import TransportLayer

async def main():
    layer = TransportLayer(
        received=lambda m, f: f.send(m.create_response(200).serialize()),
        malformed=print,
        lost=lambda f: None,
        max_connections=10000,
    )
    address = await layer.listen("tcp", "127.0.0.1")
    print(layer.max_connections, address.port, flush=True)
    held = []
    def take():
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
    def give():
        while held:
            os.close(held.pop())
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, take)
    loop.add_signal_handler(signal.SIGUSR2, give)
    await asyncio.sleep(60)

if sys.argv[1] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


def ask(port: int, seconds: float) -> bytes:
    with socket.create_connection((HOST, port)) as connection:
        connection.settimeout(seconds)
        connection.sendall(OPTIONS)
        try:
            return connection.recv(100)
        except OSError:
            return b""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_out_of_descriptors_is_one_line_and_no_end(loop):
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, loop],
        cwd=Path(sip.__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    waiting: list[socket.socket] = []
    try:
        assert server.stdout is not None
        most, port = map(int, server.stdout.readline().split())
        assert most == 48
        assert ask(port, 5).startswith(b"SIP/2.0 200")
        server.send_signal(signal.SIGUSR1)
        time.sleep(0.3)
        for _ in range(100):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex((HOST, port))
            waiting.append(one)
        time.sleep(3)
        for one in waiting:
            one.close()
        server.send_signal(signal.SIGUSR2)
        time.sleep(1.5)
        assert ask(port, 5).startswith(b"SIP/2.0 200")
    finally:
        server.kill()
        _, errors = server.communicate()
        for one in waiting:
            one.close()
    assert errors.count("\n") == 1, errors[:2000]
    assert "Too many open files" in errors


@pytest.mark.parametrize("wanted", [1, 10, 10_000_000])
def test_connections_leave_descriptors_for_the_rest(wanted):
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert allowed_connections(wanted) == min(wanted, soft * 3 // 4)


@pytest.fixture
def low_limit():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] // 2, before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_limit_is_raised_to_what_is_allowed(low_limit):
    assert raise_descriptor_limit() == low_limit


@pytest.mark.parametrize("command", [["proxy", "--check", "--config"], ["mikey", "show"], ["call"]])
def test_the_programs_raise_it_at_their_start(low_limit, command):
    CliRunner().invoke(main, [*command, os.devnull])
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == low_limit


async def test_a_proxy_says_how_many_connections_it_may_have(monkeypatch):
    monkeypatch.setattr("sip.transport.descriptors.resource.getrlimit", lambda _: (1000, 1000))
    made = ProxyServer((Listener("udp", HOST),), domains=frozenset(("example.com",)), location=None)
    assert made.max_connections == 750


async def test_one_line_of_the_log_in_a_minute(caplog):
    async with serving("tcp") as (layer, _):
        for _ in range(100):
            layer.cannot_accept(OSError(24, "Too many open files"))
        assert len(caplog.records) == 1
        layer._logged_at -= 61
        layer.cannot_accept(OSError(24, "Too many open files"))
        assert len(caplog.records) == 2
