"""A renewed certificate serves new connections, while calls and connections that are open go on."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import ssl
import sys
from pathlib import Path

import pytest

from securertc import TlsFiles
from securertc.throwaway_authority import ThrowawayAuthority
from sip import Request, SipUri, TlsFileError, client_context
from sip.target import Target
from sip.transport import TransportLayer

HOST = "127.0.0.1"


class Renewable:
    """Certificate files that install() replaces, each time by another certificate of one authority."""

    def __init__(self, directory: Path) -> None:
        self.authority = ThrowawayAuthority(directory)
        self.certificate, self.key = directory / "now.crt", directory / "now.key"
        self.install("first")

    @property
    def files(self) -> TlsFiles:
        return TlsFiles(self.certificate, self.key, self.authority.certificate_path)

    def install(self, name: str) -> None:
        issued = self.authority.issue(
            name, sip_domains=("our.test", "local.example", "remote.example"), addresses=(HOST,)
        )
        shutil.copy(issued.certificate_path, self.certificate)
        shutil.copy(issued.key_path, self.key)

    def spoil(self) -> None:
        self.key.write_text("no key")

    @property
    def der(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.certificate.read_text())


async def shown(port: int) -> bytes | None:
    """The certificate that whoever connects now gets to see."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(HOST, port, ssl=context)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return found


async def test_a_call_goes_on_over_a_reload(pair, nothing_left, tmp_path):
    renewable = Renewable(tmp_path)
    async with pair(caller={"tls": renewable.files}, callee={"tls": renewable.files}) as ends:
        port = SipUri.parse(ends.uri).port
        assert port is not None
        ours, theirs = await ends.establish()
        before = renewable.der
        assert await shown(port) == before

        renewable.install("second")
        assert await shown(port) == before  # until it is told
        ends.callee.reload_certificates()
        after = renewable.der
        assert after != before
        assert await shown(port) == after

        renewable.spoil()
        with pytest.raises(TlsFileError, match="now"):
            ends.callee.reload_certificates()
        assert await shown(port) == after

        await ours.send_digits("7")
        assert await asyncio.wait_for(theirs.receive_digit(), 5) == "7"
        await ours.hangup()


CONFIG = """
domains = ["our.test"]
[[listen]]
transport = "tls"
host = "127.0.0.1"
port = 0
[tls]
certificate = "{certificate}"
key = "{key}"
ca_file = "{ca_file}"
"""


def options() -> Request:
    request = Request("OPTIONS", SipUri.parse("sip:our.test"))
    for name, value in (
        ("Via", "SIP/2.0/TLS here.invalid;branch=z9hG4bKa"),
        ("Max-Forwards", "0"),
        ("From", "<sip:alice@our.test>;tag=a"),
        ("To", "<sip:our.test>"),
        ("Call-ID", "1"),
        ("CSeq", "1 OPTIONS"),
    ):
        request.headers.add(name, value)
    return request


async def test_the_proxy_reloads_at_sighup(tmp_path):
    renewable = Renewable(tmp_path)
    config, files = tmp_path / "proxy.toml", renewable.files
    config.write_text(CONFIG.format(certificate=files.certificate, key=files.key, ca_file=files.ca_file))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "securertc", "proxy", "--config", str(config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    answers: asyncio.Queue[object] = asyncio.Queue()
    layer = TransportLayer(
        received=lambda message, _: answers.put_nowait(message),
        malformed=lambda *_: None,
        lost=lambda *_: answers.put_nowait(None),
        tls_client=client_context(ca_file=files.ca_file),
    )

    async def said() -> str:
        assert process.stdout is not None
        return (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()

    try:
        port = int((await said()).rpartition(":")[2])
        await said()
        flow = await layer.flow_to(Target("tls", HOST, port, "our.test"))
        before = renewable.der
        assert flow.certificate == await shown(port) == before

        renewable.install("second")
        process.send_signal(signal.SIGHUP)
        assert await said() == "certificates reloaded"
        after = renewable.der
        assert await shown(port) == after != before

        renewable.spoil()
        process.send_signal(signal.SIGHUP)
        assert (await said()).startswith("certificates not reloaded, the old ones stay: ")
        assert await shown(port) == after

        flow.send(options().serialize())
        answer = await asyncio.wait_for(answers.get(), 5)
        assert answer is not None  # the connection of before still serves
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0
    finally:
        await layer.close()
        if process.returncode is None:
            process.kill()
            await process.wait()
