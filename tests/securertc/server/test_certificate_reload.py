"""TLS files renewed while calls go on: new connections see it, old ones stand; a bad file changes nothing."""

from __future__ import annotations

import asyncio
import shutil
import signal
import ssl
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from peers.process import free_ports

from securertc import CallRefusedError, Endpoint, EndpointSettings, TlsFiles
from securertc.demo.throwaway_authority import ThrowawayAuthority
from sip import TlsFileError, TlsVerificationError

HOST = "127.0.0.1"


def put(issued, directory):
    """Copies a certificate and its key to where an endpoint's settings say they are."""
    shutil.copy(issued.certificate_path, directory / "own.crt")
    shutil.copy(issued.key_path, directory / "own.key")


async def shown(port: int) -> bytes:
    """The certificate that is shown on a port, DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(HOST, port, ssl=context)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return found


def der(issued) -> bytes:
    return x509.load_pem_x509_certificate(issued.certificate_path.read_bytes()).public_bytes(Encoding.DER)


@pytest.fixture(scope="session")
def renewed(authority):
    return [authority.issue(f"renewed{n}", sip_domains=("remote.example",), addresses=(HOST,)) for n in range(2)]


async def test_a_call_goes_on_over_a_renewed_certificate(nothing_left, authority, tls_files, renewed, tmp_path):
    put(renewed[0], tmp_path)
    files = TlsFiles(tmp_path / "own.crt", tmp_path / "own.key", authority.certificate_path)
    answered: asyncio.Queue = asyncio.Queue()
    tasks = []

    async def answer(incoming):
        answered.put_nowait(await incoming.answer())

    bob = Endpoint(
        EndpointSettings("sip:bob@remote.example", tls=files),
        on_call=lambda incoming: tasks.append(asyncio.ensure_future(answer(incoming))),
    )
    async with bob, Endpoint(EndpointSettings("sip:alice@local.example", tls=tls_files)) as alice:
        port = (await bob.listen("tls")).port
        ours = await alice.call(f"sip:bob@{HOST}:{port};transport=tls")
        theirs = await answered.get()
        assert await shown(port) == der(renewed[0])
        put(renewed[1], tmp_path)
        bob.reload_tls()
        assert await shown(port) == der(renewed[1])
        await ours.hold()  # over the connection that stands
        await ours.resume()
        (tmp_path / "own.crt").write_text("no certificate")
        with pytest.raises(TlsFileError, match=r"own\.crt"):
            bob.reload_tls()
        shutil.copy(renewed[0].certificate_path, tmp_path / "own.crt")  # not that of the key
        with pytest.raises(TlsFileError, match="key"):
            bob.reload_tls()
        assert await shown(port) == der(renewed[1])
        await ours.hangup()
        assert await theirs.wait_ended() == "remote"
        await asyncio.gather(*tasks)
    async with Endpoint(EndpointSettings("sip:alice@local.example")) as alice:
        with pytest.raises(ValueError, match="needs a certificate"):
            alice.reload_tls()


async def test_other_authorities_are_trusted_from_then_on(nothing_left, authority, tls_files, tmp_path):
    trusted = tmp_path / "trusted.pem"
    shutil.copy(authority.certificate_path, trusted)
    stranger = ThrowawayAuthority(tmp_path, name="stranger")
    files = TlsFiles(tls_files.certificate, tls_files.key, trusted)
    bob = Endpoint(
        EndpointSettings("sip:bob@local.example", tls=tls_files), on_call=lambda incoming: incoming.reject(486)
    )
    async with bob, Endpoint(EndpointSettings("sip:alice@local.example", tls=files)) as alice:
        ports = [(await bob.listen("tls")).port for _ in range(2)]

        async def status(port):
            with pytest.raises((CallRefusedError, TlsVerificationError)) as refused:
                await alice.call(f"sip:bob@{HOST}:{port};transport=tls")
            return getattr(refused.value, "status", refused.type)

        assert await status(ports[0]) == 486
        shutil.copy(stranger.certificate_path, trusted)
        alice.reload_tls()
        assert await status(ports[0]) is TlsVerificationError  # the connection that stands proves nothing any more
        assert await status(ports[1]) is TlsVerificationError


CONFIGURATION = """
domains = ["remote.example"]
[[listen]]
transport = "tls"
host = "127.0.0.1"
port = {port}
[tls]
certificate = "own.crt"
key = "own.key"
ca_file = "{ca}"
"""


async def test_the_proxy_reads_it_again_at_sighup(authority, renewed, tmp_path):
    port = free_ports()
    put(renewed[0], tmp_path)
    (tmp_path / "proxy.toml").write_text(CONFIGURATION.format(port=port, ca=authority.certificate_path))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "securertc", "proxy", "--config", str(tmp_path / "proxy.toml")),
        stdout=asyncio.subprocess.PIPE,
    )

    async def line(text: str) -> str:
        async with asyncio.timeout(30):
            while text not in (found := (await process.stdout.readline()).decode()):
                assert found, "the proxy has ended"
        return found

    try:
        await line("Ctrl-C")
        assert await shown(port) == der(renewed[0])
        put(renewed[1], tmp_path)
        process.send_signal(signal.SIGHUP)
        await line("new files")
        assert await shown(port) == der(renewed[1])
        (tmp_path / "own.key").write_text("no key")
        process.send_signal(signal.SIGHUP)
        assert "own" in await line("TLS stays as it was")
        assert await shown(port) == der(renewed[1])
    finally:
        process.terminate()
        await process.wait()
    assert process.returncode == 0
