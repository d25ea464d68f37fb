"""`securertc ping` and `securertc dns` as a user runs them, against servers and a name server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import pytest
from click.testing import CliRunner
from dns_server import ZoneServer, zone_server

from securertc.cli import main
from securertc.demo.throwaway_authority import ThrowawayAuthority
from sip import server_context
from sip.user_agent.user_agent import UserAgent


async def run(*arguments):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "securertc", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode()


@contextlib.asynccontextmanager
async def domain(*ports, label="_sip._udp", records=None):
    """A name server for example.test, whose servers are on these ports in this order."""
    rows = [f"{priority} 10 {port} one.example.test." for priority, port in enumerate(ports)]
    found = {("one.example.test", "A"): ["127.0.0.1"], (f"{label}.example.test", "SRV"): rows, **(records or {})}
    async with zone_server(ZoneServer(found)) as zone:
        yield f"127.0.0.1:{zone.port}"


@contextlib.asynccontextmanager
async def answering(transport="udp", tls=None):
    agent = UserAgent(name="phone \u202e[red]")
    try:
        yield (await agent.listen(transport, "127.0.0.1", tls=tls)).port
    finally:
        await agent.close()


async def refusing_port():
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def test_ping_goes_to_the_next_server_and_says_who_answers():
    async with answering("tcp") as port, domain(await refusing_port(), port, label="_sip._tcp") as name_server:
        arguments = ("ping", "sip:example.test;transport=tcp", "--name-server", name_server)
        code, out, err = await run(*arguments, "--count", "2", "--interval", "0")
    assert (code, err) == (0, "")
    assert out.count("200 OK") == 2
    assert f"from TCP 127.0.0.1:{port}, not encrypted" in out
    assert "2 of 2 answered" in out
    assert "phone ?[red]" in out  # what a peer says does not colour our terminal


async def test_ping_over_tls_names_what_was_proven(tmp_path):
    authority = ThrowawayAuthority(tmp_path)
    issued = authority.issue("server", sip_domains=("example.test",))
    tls = server_context(issued.certificate_path, issued.key_path)
    async with answering("tls", tls) as port, domain(port, label="_sips._tcp") as name_server:
        trust = ("--ca-file", str(authority.certificate_path))
        code, out, _ = await run("ping", "sips:example.test", "--name-server", name_server, *trust)
        assert code == 0
        assert "proven to be example.test" in out
        code, out, _ = await run("ping", "sips:example.test", "--name-server", name_server)
        assert code == 3
        assert "failed:" in out


async def test_ping_without_an_answer():
    loop = asyncio.get_running_loop()
    silent, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
    port = silent.get_extra_info("sockname")[1]
    code, out, _ = await run("ping", f"sip:127.0.0.1:{port}", "--timeout", "0.3")
    silent.close()
    assert (code, out) == (3, "no answer in 0.3 s\n")


async def test_dns_shows_records_and_where_they_lead():
    naptr = {
        ("example.test", "NAPTR"): [
            '10 10 "s" "SIPS+D2T" "" _sips._tcp.example.test.',
            '20 10 "s" "SIP+D2U" "" _sip._udp.example.test.',
        ]
    }
    async with domain(5061, 5062, label="_sips._tcp", records=naptr) as name_server:
        code, out, err = await run("dns", "example.test", "--name-server", name_server)
        assert (code, err) == (0, "")
        for fact in ("SIPS+D2T", "1 10 5062 one.example.test", "127.0.0.1", "What DNS says", "Where sip:example.test"):
            assert fact in out
        rows = [line.split() for line in out.splitlines() if " TLS " in line]
        assert [(row[1], row[7], row[-2]) for row in rows] == [
            ("1", "5061", "example.test"),
            ("2", "5062", "example.test"),
        ]
        code, out, err = await run("dns", "sip:nowhere.test", "--name-server", name_server)
        assert code == 3
        assert "nowhere.test" in err
        assert "none" in out


async def test_dns_with_a_name_server_that_does_not_answer():
    zone = ZoneServer({}, spoil={"example.test": lambda _: None})
    async with zone_server(zone):
        code, out, err = await run("dns", "example.test", "--name-server", f"127.0.0.1:{zone.port}")
    assert code == 3
    assert "no answer" in out
    assert "NAPTR" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("dns", "example.test", "--name-server", "ns.example.test"), "no numeric address"),
        (("dns", "sip:a@b@c"), "DOMAIN"),
        (("ping", "tel:+4930"), "URI"),
        (("ping", "sip:a", "--count", "0"), "--count"),
        (("ping", "sip:a", "--proxy", "nobody"), "--proxy"),
    ],
)
def test_wrong_usage(arguments, said):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert said in result.output
