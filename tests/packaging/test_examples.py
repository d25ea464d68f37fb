"""The scripts of examples/ run as their first lines say."""

from __future__ import annotations

import asyncio
import functools
import re
import signal
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path

import aioice.ice
import numpy as np
import pytest
from peers.aiortc_peer import AiortcPeer
from peers.authority import TestAuthority
from peers.tones import assert_tone, tone

from sdp.mikey import MikeyKeying, Mode, Ourselves, Peer, Proposal, ReplayCache, uri_id
from securertc import Endpoint, EndpointSettings, SecurityPolicy, TierStatus, TlsFiles
from srtp import SecretBytes

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def test_every_example_is_tested_here() -> None:
    tested = set(re.findall(r'"(\w+\.py)"', Path(__file__).read_text()))
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested


async def start(name: str, *arguments: str | Path) -> asyncio.subprocess.Process:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    # What runs in the background of a shell is deaf to Ctrl-C, and so would be what it starts.
    hear = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    environment = {"PYTHONPATH": str(ROOT)}
    return await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment, stdout=-1, stderr=-2, preexec_fn=hear
    )


async def test_negotiate_and_protect() -> None:
    process = await start("negotiate_and_protect.py")
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed
    assert b"agreed: AEAD_AES_256_GCM" in printed
    assert b"the same packet again:" in printed


async def test_mikey_exchange() -> None:
    process = await start("mikey_exchange.py")
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed
    assert b"agreed: DHHMAC, AES_CM_128_HMAC_SHA1_80" in printed
    assert b"bob reads: hello" in printed


async def test_echo_endpoint(authority: TestAuthority) -> None:
    process = await start("echo_endpoint.py", "sip:echo@127.0.0.1", authority.issue("echo"), authority.ca_path)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            line = (await process.stdout.readline()).decode()
            assert line.startswith("answering on port "), line + (await process.stdout.read()).decode()
            uri = f"sip:echo@127.0.0.1:{line.split()[-1]};transport=tls"
            settings = EndpointSettings("sip:alice@127.0.0.1", tls=TlsFiles(ca_file=authority.ca_path))
            async with Endpoint(settings) as alice:
                call = await alice.call(uri)
                sending = asyncio.ensure_future(call.send_audio(tone(500, 3.0)))
                heard = [await call.receive_audio() for _ in range(75)]
                await call.hangup()
                await asyncio.gather(sending, return_exceptions=True)
            assert_tone(np.concatenate(heard), 500)
            while not line.startswith("media"):
                line = (await process.stdout.readline()).decode()
                assert line, "the example ended before its report"
            assert line == "media: secured\n"
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = await process.communicate()
    assert process.returncode == 0, rest.decode()


async def test_media_with_pyvoip() -> None:
    """A foreign SIP stack signals, our MediaSession keys and carries the audio."""
    key = bytes(range(32))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await start("media_with_pyvoip.py", str(port), key.hex())
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            line = (await process.stdout.readline()).decode()
            assert line == "ready\n", line + (await process.stdout.read()).decode()
            us, echo = uri_id("sip:alice@example.com"), uri_id("sip:echo@example.com")
            keying = MikeyKeying(
                Ourselves(us),
                Peer(echo, SecretBytes(key)),
                Proposal(mode=Mode.PSK, streams=()),
                replay_cache=ReplayCache(),
            )
            settings = EndpointSettings("sip:alice@127.0.0.1", policy=SecurityPolicy(keying=(keying,)))
            async with Endpoint(settings) as alice:
                await alice.listen("udp")
                call = await alice.call(f"sip:echo@127.0.0.1:{port}")
                sending = asyncio.ensure_future(call.send_audio(tone(500, 3.0)))
                heard = [await call.receive_audio() for _ in range(75)]
                assert call.security.media.status is TierStatus.SECURED
                await call.hangup()
                await asyncio.gather(sending, return_exceptions=True)
            assert_tone(np.concatenate(heard), 500)
            assert (await process.stdout.readline()) == b"call keyed by mikey: AES_CM_128_HMAC_SHA1_80\n"
            ended = re.fullmatch(
                r"ended after (\d+) authenticated packets\n", (await process.stdout.readline()).decode()
            )
            assert ended is not None
            assert int(ended[1]) > 50
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = await process.communicate()
    assert process.returncode == 0, rest.decode()


async def test_answer_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiortc is the browser."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])
    process = await start("answer_a_browser.py")
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30), AiortcPeer(600) as browser:
            address = (await process.stdout.readline()).decode().strip()
            assert address.startswith("http://"), address
            page = await asyncio.to_thread(lambda: urllib.request.urlopen(address).read())
            assert b"RTCPeerConnection" in page
            offer = (await browser.offer()).encode()
            # Browsers post before they have gathered candidates: then there is no address yet.
            offer = re.sub(rb"a=candidate.*\r\n|a=end-of-candidates\r\n", b"", offer)
            offer = re.sub(rb"m=audio \d+", b"m=audio 9", re.sub(rb"c=IN IP4 .*\r\n", b"c=IN IP4 0.0.0.0\r\n", offer))
            answer = await asyncio.to_thread(lambda: urllib.request.urlopen(address, offer).read().decode())
            await browser.take_answer(answer)
            await browser.await_state("connected")
            assert (await process.stdout.readline()).startswith(b"keyed by DTLS-SRTP: A")
            assert_tone(await browser.hear(seconds=2.0), 600)
            plain = offer.replace(b"UDP/TLS/RTP/SAVPF", b"RTP/AVP").replace(b"a=fingerprint", b"a=x")
            with pytest.raises(urllib.error.HTTPError, match="488"):
                await asyncio.to_thread(urllib.request.urlopen, address, plain)
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = await process.communicate()
    assert process.returncode == 0, rest.decode()
