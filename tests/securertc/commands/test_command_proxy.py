"""`securertc proxy` as a process: finds another domain by the name servers of its configuration, and goes on."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
import sys

import pytest
from click.testing import CliRunner
from dns_server import ZoneServer, zone_server

from securertc.cli import main
from sip import Request, SipUri
from sip.user_agent.user_agent import UserAgent

CONFIG = """
domains = ["our.test"]
relay = true
name_servers = ["127.0.0.1:{dns}"]
[[listen]]
transport = "udp"
host = "127.0.0.1"
port = {port}
[timers]
t1 = 0.05
t2 = 0.4
"""


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.asynccontextmanager
async def proxy(tmp_path, name_server):
    path, port = tmp_path / "proxy.toml", free_port()
    path.write_text(CONFIG.format(dns=name_server, port=port))
    path.chmod(0o600)  # or it would be told of
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "securertc", "proxy", "--config", str(path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        assert line, (await process.communicate())[1].decode()
        yield port
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, err) == (0, b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def options(uri, port):
    request = Request("OPTIONS", SipUri.parse(uri))
    request.headers.add("Route", f"<sip:127.0.0.1:{port};lr>")
    request.headers.add("Max-Forwards", "70")
    request.headers.add("From", "<sip:alice@our.test>;tag=a")
    request.headers.add("To", f"<{uri}>")
    request.headers.add("Call-ID", secrets.token_hex(8))
    request.headers.add("CSeq", "1 OPTIONS")
    return request


async def test_other_domains_are_found_and_the_next_server_tried(tmp_path):
    caller, there = UserAgent(), UserAgent()
    try:
        works = (await there.listen("udp", "127.0.0.1")).port
        await caller.listen("udp", "127.0.0.1")
        records = {
            ("_sip._tcp.far.test", "SRV"): ["1 0 1 host.far.test."],  # nobody listens
            ("_sip._udp.far.test", "SRV"): [f"2 0 {works} host.far.test."],
            ("host.far.test", "A"): ["127.0.0.1"],
        }
        async with zone_server(ZoneServer(records)) as zone, proxy(tmp_path, zone.port) as port:
            assert (await caller.request(options("sip:bob@far.test", port))).status == 200
            assert "NAPTR far.test" in zone.asked
            assert (await caller.request(options("sip:bob@gone.test", port))).status == 500
    finally:
        await caller.close()
        await there.close()


@pytest.mark.parametrize("server", ["ns.example.com", "192.0.2.1:port", "", 5353])
def test_name_servers_are_addresses(tmp_path, server):
    path = tmp_path / "proxy.toml"
    value = f'"{server}"' if isinstance(server, str) else str(server)
    text = CONFIG.format(dns=53, port=5060).replace('"127.0.0.1:53"', value)
    path.write_text(text)
    result = CliRunner().invoke(main, ("proxy", "--check", "--config", str(path)))
    assert result.exit_code == 2
    assert "name_servers" in result.output
    path.write_text(text.replace(value, '"127.0.0.1", "[::1]:5353"'))
    assert CliRunner().invoke(main, ("proxy", "--check", "--config", str(path))).exit_code == 0
