"""Errors say what was wrong and what to do: URIs without a scheme, media too early, missing extras, silent systems."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys

import numpy as np
import pytest

from rtp import RtpPacket
from securertc import CallEndedError, Endpoint, EndpointSettings, MediaSession, NoMediaYetError
from sip import NameAddr, Response, SipParseError, SipUri, TransportError, parse_uri
from sip.transport.layer import reason_of

EXTRAS = [
    ("sdp.dtls", "OpenSSL", "dtls"),
    ("sdp.dtls.setup_role", "OpenSSL", "dtls"),
    ("sip.discovery.dns_resolver", "dns", "dns"),
    ("sip.transport.websocket", "websockets", "websocket"),
    ("sip.transport.websocket_flow", "websockets", "websocket"),
    ("sip.registrar.store_redis", "redis", "redis"),
    ("securertc.media.ice_agent", "aioice", "ice"),
    ("securertc.media.dtls_media", "OpenSSL", "dtls"),
    ("securertc.demo.zone_server", "dns", "dns"),
]
IMPORT = """
import sys
sys.modules[sys.argv[2]] = None
try:
    __import__(sys.argv[1])
except ImportError as error:
    print(type(error).__name__, error.extra, error)
"""


@pytest.mark.parametrize(("module", "package", "extra"), EXTRAS)
def test_a_missing_package_names_its_extra(module, package, extra):
    done = subprocess.run([sys.executable, "-c", IMPORT, module, package], capture_output=True, text=True, check=False)
    assert done.stdout.startswith(f"MissingExtraError {extra} "), done.stdout + done.stderr
    assert f"pip install 'securertc[{extra}]'" in done.stdout


@pytest.mark.parametrize("text", ["alice@example.com", "example.com", "bob", "", "<bob>", "sip:", "alice @ home"])
@pytest.mark.parametrize("parse", [parse_uri, SipUri.parse])
def test_what_is_no_uri_is_shown_with_a_hint(text, parse):
    with pytest.raises(SipParseError, match="a SIP URI begins with sip: or sips:") as caught:
        parse(text)
    assert repr(text) in str(caught.value)
    # What goes to the network stays as short as it was.
    assert caught.value.reason == "no valid URI"


@pytest.mark.parametrize("value", [None, b"sip:alice@example.com", 5, SipUri("sip", "example.com")])
def test_what_is_no_text_is_no_uri(value):
    with pytest.raises(SipParseError, match=r"it must be a str, as 'sip:alice@example.com'"):
        parse_uri(value)


def test_the_hint_is_the_uri_that_was_meant():
    with pytest.raises(SipParseError, match=r"as in 'sip:alice@example.com'"):
        SipUri.parse("alice@example.com")


async def test_the_hint_reaches_who_makes_an_endpoint_or_calls():
    with pytest.raises(SipParseError, match=r"as in 'sip:alice@example.com'"):
        Endpoint(EndpointSettings("alice@example.com"))
    async with Endpoint(EndpointSettings("sip:alice@example.com")) as endpoint:
        with pytest.raises(SipParseError, match=r"as in 'sip:bob@example.com'"):
            await endpoint.call("bob@example.com")
        with pytest.raises(SipParseError, match=r"as in 'sip:bob@example.com'"):
            await endpoint.send_message("bob@example.com", "text")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("an alice:hunter2@example.com", "hunter2"),
        ("x" * 5000, "x" * 61),
        ("\x9b31mred\u202e", "\x9b"),
        ("\r\n", "\n"),
    ],
)
def test_no_password_and_no_control_is_shown(text, hidden):
    with pytest.raises(SipParseError) as caught:
        parse_uri(text)
    assert hidden not in str(caught.value)
    assert "\u202e" not in str(caught.value)


def test_a_refusal_has_no_hint():
    """What a stranger wrote does not come back in the reason phrase."""
    with pytest.raises(SipParseError) as caught:
        NameAddr.parse("<nonsense>")
    assert "nonsense" not in caught.value.reason
    assert Response(400, caught.value.reason).serialize()


@pytest.mark.parametrize("send", ["audio", "digits", "packets"])
async def test_media_before_an_agreement(send):
    session = MediaSession("127.0.0.1")
    audio = np.zeros(160, np.int16)
    sending = {
        "audio": lambda: session.send_audio(audio),
        "digits": lambda: session.send_digits("1"),
        "packets": lambda: session.send_rtp(RtpPacket(0, 1, 2, 3)),
    }[send]
    with pytest.raises(NoMediaYetError, match=r"no media is agreed on yet: start\(\) the session"):
        await sending()
    session.close()
    with pytest.raises(CallEndedError, match=r"the call has ended \(local\)"):
        await sending()


@pytest.mark.parametrize(
    "error",
    [
        OSError(),
        OSError(""),
        TimeoutError(),
        ConnectionResetError(),
        ConnectionAbortedError(),
        BrokenPipeError(),
        ConnectionRefusedError(),
        ssl.SSLError(),
        OSError(0, ""),
    ],
)
def test_a_failure_always_has_a_reason(error):
    reason = reason_of(error)
    assert reason.strip()
    assert "None" not in reason
    text = str(TransportError(reason, target="tls:example.com"))
    assert text.removeprefix("tls:example.com: ").strip()


def test_a_transport_error_without_a_message():
    assert str(TransportError("", target="tls:example.com")).removeprefix("tls:example.com:").strip()


async def test_a_tls_peer_that_hangs_up_in_the_handshake():
    """It said `tls:…: ` and nothing more."""

    def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Endpoint(EndpointSettings("sips:alice@example.com")) as endpoint:
        with pytest.raises(TransportError) as caught:
            await endpoint.call(f"sips:bob@127.0.0.1:{port}")
        assert str(caught.value).rstrip().rpartition(":")[2].strip()
