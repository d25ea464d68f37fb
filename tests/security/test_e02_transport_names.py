"""A transport's name is taken in any case, and any other word is refused: never is a clear TCP port opened instead."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest
from click.testing import CliRunner
from peers.authority import TestAuthority

from securertc import Endpoint, EndpointSettings, MediaSecurity, SecurityPolicy
from securertc.cli import main
from securertc.commands.call import Answering
from securertc.errors import ConfigurationError
from securertc.server.configuration import ListenSettings, parse_config
from securertc.tls_files import TlsFiles
from sip import TransportError, server_context
from sip.discovery import target
from sip.discovery.server_location import DiscoveryRules
from sip.discovery.target import TRANSPORTS, Target
from sip.proxy.dns_resolver import DnsProxyResolver
from sip.proxy.own_names import ListenAddress
from sip.proxy.server import Listener
from sip.transport.layer import TransportLayer
from sip.user_agent.user_agent import UserAgent

pytestmark = pytest.mark.every_loop

HOST = "127.0.0.1"
SPELLINGS = ["UDP", "Tcp", "TLS", "tLs", " tls ", "WS", "WSS"]
WRONG = ["sctp", "SCTP", "", "ssl", "dtls", "tls\0", "tls-sctp", "udp,tls", "\u0422LS", "\u017fctp", None, b"tls", 5]


@pytest.fixture(scope="module")
def files(authority: TestAuthority) -> TlsFiles:
    return TlsFiles(authority.issue("alice"), None, authority.ca_path)


@contextlib.asynccontextmanager
async def layer():
    made = TransportLayer(received=lambda *_: None, malformed=lambda *_: None, lost=lambda *_: None)
    try:
        yield made
    finally:
        await made.close()


async def is_tls(port: int) -> bool:
    """Whether what listens there answers a TLS handshake, and nothing said in clear."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"\r\n\r\n")
    answered = await reader.read(2)
    writer.close()
    if answered == b"\r\n":  # the keep-alive of RFC 5626 4.4.1: it listens for SIP in clear
        return False
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(HOST, port, ssl=context), 5)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


# Where names are taken: each makes something of one, and returns the name that counts.
TAKERS = {
    "transport_name": lambda name: target.transport_name(name),
    "Target": lambda name: Target(name, HOST, 5061, "h").transport,
    "Listener": lambda name: Listener(name, HOST).transport,
    "ListenAddress": lambda name: ListenAddress(name, HOST, 5060).transport,
    "ListenSettings": lambda name: ListenSettings(name, HOST, 5060).transport,
    "Answering": lambda name: Answering(name, {}, None, ()).transport,
    "DiscoveryRules": lambda name: DiscoveryRules(max, (name,)).transports[0],
    "DnsProxyResolver": lambda name: DnsProxyResolver(None, transports=(name,))._transports[0],
}


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("name", SPELLINGS)
def test_every_case_is_taken(taker, name):
    assert TAKERS[taker](name) == name.strip().lower()


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("name", WRONG)
def test_other_words_are_refused_and_the_right_ones_listed(taker, name):
    with pytest.raises(ValueError, match="udp, tcp, tls, ws, wss"):
        TAKERS[taker](name)


@pytest.mark.parametrize("name", SPELLINGS)
async def test_an_endpoint_listens_on_what_was_meant(files, name):
    settings = EndpointSettings(
        "sip:bob@example.com", policy=SecurityPolicy(media=MediaSecurity.OFF), tls=files, media_host=HOST
    )
    async with Endpoint(settings) as endpoint:
        address = await endpoint.listen(name, HOST)
        assert address.transport == name.strip().lower()
        if address.transport != "udp":
            assert await is_tls(address.port) == (address.transport in ("tls", "wss"))
        assert endpoint.user_agent.contact(name, "bob").uri.port == address.port


@pytest.mark.parametrize("name", WRONG)
async def test_an_endpoint_listens_on_nothing_else(files, name):
    settings = EndpointSettings("sip:bob@example.com", policy=SecurityPolicy(media=MediaSecurity.OFF), tls=files)
    async with Endpoint(settings) as endpoint:
        with pytest.raises(ValueError, match="udp, tcp, tls, ws, wss"):
            await endpoint.listen(name, HOST)
        assert endpoint.user_agent._transports.listening == []


@pytest.mark.parametrize("name", ["sctp", "TLS", "Wss", "wss"])
async def test_a_layer_and_a_user_agent_open_no_clear_port(name):
    agent = UserAgent()
    async with layer() as served:
        for one in (agent, served):
            with pytest.raises((ValueError, TransportError)):
                await one.listen(name, HOST)
        assert served.listening == agent._transports.listening == []
    await agent.close()


@pytest.mark.parametrize("name", ["tcp", "TCP", "ws", "udp"])
async def test_who_gives_a_certificate_is_not_heard_in_clear(authority, name):
    async with layer() as served:
        with pytest.raises(TransportError, match="has no TLS"):
            await served.listen(name, HOST, tls=server_context(authority.issue("alice")))
        assert served.listening == []


@pytest.mark.parametrize("name", ["TLS", "Tls"])
async def test_a_target_by_another_case_is_not_connected_to_in_clear(name):
    """Without a TLS context there is no TLS, and nothing instead of it."""
    async with layer() as served, layer() as ours:
        address = await served.listen("tcp", HOST)
        with pytest.raises(TransportError, match="TLS"):
            await ours.flow_to(Target(name, HOST, address.port, HOST))
        assert served.connections == 0


def test_a_configuration_takes_every_case_and_says_what_there_is(tmp_path):
    def config(name):
        return {"domains": ["example.com"], "listen": [{"transport": name, "host": HOST}]}

    assert [one.transport for one in parse_config(config("UDP"), tmp_path).listen] == ["udp"]
    for name in ("sctp", "TLS"):  # TLS without a certificate
        with pytest.raises(ConfigurationError, match=r"udp, tcp, tls, ws, wss|certificate"):
            parse_config(config(name), tmp_path)


@pytest.mark.parametrize("name", TRANSPORTS)
def test_the_command_line_takes_every_case(name):
    found = next(one for one in main.commands["answer"].params if one.name == "transport")
    assert found.type.convert(name.upper(), found, None) == name
    refused = CliRunner().invoke(main, ["answer", "--transport", "sctp"])
    assert refused.exit_code == 2
    assert "tls" in refused.output


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(("host", "port"), [("", 0), (None, 0), (5060, 0), (HOST, "5060"), (HOST, -1), (HOST, 65536)])
async def test_where_to_listen_is_said(transport, host, port):
    """An empty host is all addresses to bind(), where a setting that is not there was meant."""
    async with layer() as served:
        with pytest.raises(ValueError, match="it must be"):
            await served.listen(transport, host, port)
        assert served.listening == []


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_what_was_closed_listens_no_more(transport):
    """Nobody would close that socket, and what comes would be answered."""
    endpoint = Endpoint(EndpointSettings("sip:bob@example.com"))
    await endpoint.close()
    with pytest.raises(TransportError, match="closed"):
        await endpoint.listen(transport, HOST)
