"""Proof of the SIP domain by certificate (RFC 5922), against OpenSSL's own programs too."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from peers.authority import TestAuthority
from peers.process import PeerProcess, free_ports

from sip import (
    Request,
    SipUri,
    TlsFileError,
    TlsVerificationError,
    TransportError,
    client_context,
    server_context,
    verify_identity,
)
from sip.discovery.target import Target
from sip.transport.layer import TransportLayer
from sip.transport.tls import SIP_DOMAIN

pytestmark = pytest.mark.every_loop


def certificate(*, common_name="cn.example", dns=(), uris=(), addresses=(), usages=(), days=1, key=None):
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.datetime.now(datetime.UTC)
    start = now - datetime.timedelta(days=5)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(now + datetime.timedelta(days=days))
    names: list[x509.GeneralName] = [x509.DNSName(one) for one in dns]
    names += [x509.UniformResourceIdentifier(one) for one in uris]
    names += [x509.IPAddress(ipaddress.ip_address(one)) for one in addresses]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder.sign(key, hashes.SHA256())


def identity(expected, *, allow_wildcards=False, **names):
    der = certificate(**names).public_bytes(serialization.Encoding.DER)
    return verify_identity(der, expected, allow_wildcards=allow_wildcards)


@pytest.mark.parametrize(
    ("expected", "names", "kind"),
    [
        ("example.com", {"uris": ["sip:example.com"]}, "SIP URI"),
        ("Example.COM", {"uris": ["sip:eXample.com"]}, "SIP URI"),
        ("example.com", {"dns": ["other.example", "EXAMPLE.com"]}, "DNS name"),
        ("example.com.", {"dns": ["example.com"]}, "DNS name"),
        ("cn.example", {}, "common name"),
        ("192.0.2.1", {"addresses": ["192.0.2.1"]}, "IP address"),
        ("[2001:db8::1]", {"addresses": ["2001:db8:0::1"]}, "IP address"),
    ],
)
def test_names_that_match(expected, names, kind):
    assert identity(expected, **names)[1] == kind


@pytest.mark.parametrize(
    ("expected", "names"),
    [
        ("example.com", {"uris": ["sip:other.example"]}),
        ("example.com", {"uris": ["sip:alice@example.com"]}),
        ("example.com", {"uris": ["sips:example.com", "http://example.com"]}),
        ("cn.example", {"dns": ["other.example"]}),  # R7: a SAN is there, so the common name does not count
        ("cn.example", {"addresses": ["192.0.2.1"]}),
        ("192.0.2.1", {}),
        ("192.0.2.1", {"dns": ["192.0.2.1"]}),  # R12: an address is proven by an iPAddress only
        ("192.0.2.1", {"common_name": "192.0.2.1"}),
        ("a.example.com", {"dns": ["*.example.com"]}),
        ("sub.example.com", {"dns": ["example.com"]}),
        ("example.com", {"dns": ["sub.example.com"]}),
        ("example.com", {"uris": ["sip:other.example"], "dns": ["example.com"]}),  # a SIP URI beats all DNS names
        ("*.example.com", {"dns": [".example.com"]}),
    ],
)
def test_names_that_do_not(expected, names):
    with pytest.raises(TlsVerificationError) as error:
        identity(expected, **names)
    assert error.value.expected == expected
    if any("*" in one for one in names.get("dns", [])):
        assert "wildcards are refused" in str(error.value)


@pytest.mark.parametrize(
    ("usages", "fits"),
    [
        ([], True),
        ([SIP_DOMAIN], True),
        ([SIP_DOMAIN, ExtendedKeyUsageOID.EMAIL_PROTECTION], True),
        ([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE], True),
        ([ExtendedKeyUsageOID.SERVER_AUTH], True),
        ([ExtendedKeyUsageOID.CLIENT_AUTH], True),
        ([ExtendedKeyUsageOID.EMAIL_PROTECTION], False),
        ([ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.OCSP_SIGNING], False),
    ],
)
def test_usages_of_the_certificate(usages, fits):
    """RFC 5924: who may sign code or mail in a name may not answer for its SIP domain."""
    if fits:
        assert identity("example.com", uris=["sip:example.com"], usages=usages)
    else:
        with pytest.raises(TlsVerificationError, match="extendedKeyUsage"):
            identity("example.com", uris=["sip:example.com"], usages=usages)


def test_uris_that_are_no_sip_domains_leave_the_dns_names():
    names = {"uris": ["sip:alice@example.com", "sips:example.com", "https://example.com"], "dns": ["proxy.example.com"]}
    assert identity("proxy.example.com", **names) == ("proxy.example.com", "DNS name")


def test_what_is_no_certificate_proves_nothing():
    with pytest.raises(TlsVerificationError, match="cannot be read"):
        verify_identity(b"\x30\x03\x02\x01\x01", "example.com")


@pytest.mark.parametrize(
    ("expected", "dns", "matches"),
    [
        ("a.example.com", "*.example.com", True),
        ("a.b.example.com", "*.example.com", False),
        ("example.com", "*.example.com", False),
        ("a.com", "*.com", False),
        ("ab.example.com", "a*.example.com", False),
        ("a.b.example.com", "*.*.example.com", False),
        ("a.example.com", "*", False),
    ],
)
def test_wildcards_where_allowed(expected, dns, matches):
    if matches:
        assert identity(expected, dns=[dns], allow_wildcards=True)
    else:
        with pytest.raises(TlsVerificationError):
            identity(expected, dns=[dns], allow_wildcards=True)


class Server:
    """A TransportLayer with a TLS listener; `got` are the messages that came in."""

    def __init__(self):
        self.got = []
        self.layer = TransportLayer(
            received=lambda message, flow: self.got.append(message), malformed=lambda *_: None, lost=lambda *_: None
        )


def client_layer(context):
    return TransportLayer(received=lambda *_: None, malformed=lambda *_: None, lost=lambda *_: None, tls_client=context)


def options() -> Request:
    made = Request("OPTIONS", SipUri.parse("sip:localhost"))
    for name, value in (("Via", "SIP/2.0/TLS h;branch=z9hG4bK1"), ("From", "<sip:a@h>;tag=1"), ("To", "<sip:b@h>")):
        made.headers.add(name, value)
    made.headers.add("Call-ID", "1")
    made.headers.add("CSeq", "1 OPTIONS")
    return made


@pytest.mark.parametrize(
    ("name", "fails"),
    [("localhost", False), ("127.0.0.1", False), ("alice.test", False), ("bank.example", True), ("127.0.0.2", True)],
)
async def test_nothing_is_sent_before_the_name_is_proven(authority: TestAuthority, name, fails):
    server = Server()
    address = await server.layer.listen("tls", "127.0.0.1", tls=server_context(authority.issue("alice")))
    layer = client_layer(client_context(ca_file=authority.ca_path))
    target = Target("tls", "127.0.0.1", address.port, name)
    if fails:
        with pytest.raises(TlsVerificationError):
            await layer.flow_to(target)
    else:
        flow = await layer.flow_to(target)
        assert flow.peer.protocol == "TLSv1.3"
        flow.send(options().serialize())
        assert await layer.flow_to(target) is flow
    await asyncio.sleep(0.1)
    assert len(server.got) == (not fails)
    await layer.close()
    await server.layer.close()
    assert layer.connections == server.layer.connections == 0


async def test_a_connection_is_not_used_for_another_name(authority: TestAuthority):
    """CVE-2020-15260: same address and port, but the certificate does not prove the second name."""
    server = Server()
    address = await server.layer.listen("tls", "127.0.0.1", tls=server_context(authority.issue("alice")))
    layer = client_layer(client_context(ca_file=authority.ca_path))
    await layer.flow_to(Target("tls", "127.0.0.1", address.port, "localhost"))
    with pytest.raises(TlsVerificationError):
        await layer.flow_to(Target("tls", "127.0.0.1", address.port, "bank.example"))
    await layer.close()
    await server.layer.close()


async def test_names_of_one_address_have_connections_of_their_own(authority: TestAuthority):
    """RFC 5923: even where one certificate proves both names, what is proven for one is not used for the other."""
    server = Server()
    address = await server.layer.listen("tls", "127.0.0.1", tls=server_context(authority.issue("alice")))
    layer = client_layer(client_context(ca_file=authority.ca_path))
    one, other = [
        await layer.flow_to(Target("tls", "127.0.0.1", address.port, name)) for name in ("alice", "localhost")
    ]
    assert one is not other
    assert (one.peer.identity, other.peer.identity) == ("alice", "localhost")
    assert await layer.flow_to(Target("tls", "127.0.0.1", address.port, "alice")) is one
    assert layer.open_flow(Target("tls", "127.0.0.1", address.port, "alice.test")) is None
    await layer.close()
    await server.layer.close()
    assert layer.connections == server.layer.connections == 0


async def test_unknown_authority_and_expired_certificate(authority: TestAuthority, tmp_path):
    server = Server()
    address = await server.layer.listen("tls", "127.0.0.1", tls=server_context(authority.issue("alice")))
    stranger = TestAuthority(tmp_path / "stranger")
    layer = client_layer(client_context(ca_file=stranger.ca_path))
    with pytest.raises(TlsVerificationError):
        await layer.flow_to(Target("tls", "127.0.0.1", address.port, "localhost"))
    with pytest.raises(TransportError, match="no TLS context"):
        await client_layer(None).flow_to(Target("tls", "127.0.0.1", address.port, "localhost"))
    await server.layer.close()

    key = ec.generate_private_key(ec.SECP256R1())
    old = certificate(dns=["localhost"], days=-1, key=key).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "old.pem").write_bytes(old + secret)
    expired = Server()
    address = await expired.layer.listen("tls", "127.0.0.1", tls=server_context(tmp_path / "old.pem"))
    layer = client_layer(client_context(ca_file=tmp_path / "old.pem"))
    with pytest.raises(TlsVerificationError, match="expired"):
        await layer.flow_to(Target("tls", "127.0.0.1", address.port, "localhost"))
    await expired.layer.close()


def encrypted(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    secret = serialization.BestAvailableEncryption(b"secret")
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret))
    return path


def test_unusable_files_are_named(authority: TestAuthority, tmp_path: Path):
    alice, bob = authority.issue("alice"), authority.issue("bob")
    empty, missing, locked = tmp_path / "empty.pem", tmp_path / "missing.pem", encrypted(tmp_path / "locked.key")
    empty.touch()
    for files, path in (
        ((empty, None), empty),
        ((authority.directory / "alice.crt", None), authority.directory / "alice.crt"),
        ((alice, bob), bob),
        ((alice, missing), missing),
        ((missing, None), missing),
        ((alice, locked), alice),  # and nobody is asked for a password
    ):
        for make in (
            lambda *both: server_context(*both),
            lambda *both: client_context(certificate=both[0], key=both[1]),
        ):
            with pytest.raises(TlsFileError, match=path.name) as error:
                make(*files)
            assert error.value.path == path
    for path in (empty, missing):
        with pytest.raises(TlsFileError, match=path.name):
            client_context(ca_file=path)
        with pytest.raises(TlsFileError, match=path.name):
            server_context(alice, client_ca_file=path)


def test_contexts_ask_for_tls_1_2(authority: TestAuthority):
    client, server = client_context(ca_file=authority.ca_path), server_context(authority.issue("alice"))
    for context in (client, server):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert client.verify_mode is ssl.CERT_REQUIRED
    assert client.keylog_filename is None


def handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> str | None:
    """Lets two contexts talk by memory alone; returns the version that they agreed on."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True)]
    for _ in range(6):
        for side in sides:
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return sides[0].version()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
def test_older_versions_are_refused_by_both_sides(authority: TestAuthority, version):
    old_client, old_server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old_client.check_hostname, old_client.verify_mode = False, ssl.CERT_NONE
    old_server.load_cert_chain(authority.issue("alice"))
    for old in (old_client, old_server):
        old.minimum_version = old.maximum_version = version
        old.set_ciphers("ALL:@SECLEVEL=0")
    client, server = client_context(ca_file=authority.ca_path), server_context(authority.issue("bob"))
    for one, other in ((old_client, server), (client, old_server)):
        if version is ssl.TLSVersion.TLSv1_2:
            assert handshake(one, other) == "TLSv1.2"
        else:
            with pytest.raises(ssl.SSLError):
                handshake(one, other)
    if version is not ssl.TLSVersion.TLSv1_2:
        assert handshake(old_client, old_server)  # they do speak it, to each other


def test_no_session_key_is_written_where_the_environment_asks_for_it(authority: TestAuthority, tmp_path, monkeypatch):
    log = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    client, server = client_context(ca_file=authority.ca_path), server_context(authority.issue("alice"))
    assert handshake(client, server) == "TLSv1.3"
    assert client.keylog_filename is server.keylog_filename is None
    assert not log.exists()
    careless = ssl.create_default_context(cafile=authority.ca_path)  # what we do not use
    careless.check_hostname = False
    handshake(careless, server)
    assert log.exists()


async def test_openssl_client_reaches_our_server(authority: TestAuthority):
    server = Server()
    context = server_context(authority.issue("alice"), client_ca_file=authority.ca_path)
    address = await server.layer.listen("tls", "127.0.0.1", tls=context)
    pem = authority.issue("bob")

    def call(*more: str) -> subprocess.CompletedProcess[bytes]:
        command = [
            "openssl",
            "s_client",
            "-quiet",
            "-no_ign_eof",
            "-connect",
            f"127.0.0.1:{address.port}",
            "-CAfile",
            str(authority.ca_path),
        ]
        return subprocess.run(
            [*command, *more], input=options().serialize(), capture_output=True, timeout=10, check=False
        )

    found = await asyncio.to_thread(call, "-cert", str(pem), "-tls1_2", "-verify_return_error")
    assert found.returncode == 0
    assert [one.method for one in server.got] == ["OPTIONS"]
    await asyncio.to_thread(call)  # without a certificate, which is required here
    await asyncio.to_thread(call, "-cert", str(pem), "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
    assert len(server.got) == 1
    await server.layer.close()


async def test_we_reach_openssl_server(authority: TestAuthority, tmp_path: Path):
    port = free_ports()
    pem = authority.issue("alice")
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(pem), "-tls1_2", "-quiet"]
    with PeerProcess(command, tmp_path, name="s_server", keep_stdin_open=True) as peer:
        await asyncio.to_thread(peer.await_tcp_port, port)
        layer = client_layer(client_context(ca_file=authority.ca_path))
        with pytest.raises(TlsVerificationError):
            await layer.flow_to(Target("tls", "127.0.0.1", port, "bank.example"))
        flow = await layer.flow_to(Target("tls", "127.0.0.1", port, "localhost"))
        assert flow.peer.protocol == "TLSv1.2"
        flow.send(options().serialize())
        await asyncio.to_thread(peer.await_log, "OPTIONS sip:localhost SIP/2.0")
        assert peer.log.count("OPTIONS sip:localhost") == 1
        await layer.close()
