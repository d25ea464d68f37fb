"""Proof of the SIP domain by certificate (RFC 5922), against OpenSSL's own programs too."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
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
from sip.target import Target
from sip.transport import TransportLayer


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
        usage = x509.ExtendedKeyUsage([x509.ObjectIdentifier(one) for one in usages])
        builder = builder.add_extension(usage, critical=True)
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
    ],
)
def test_names_that_do_not(expected, names):
    with pytest.raises(TlsVerificationError) as error:
        identity(expected, **names)
    assert error.value.expected == expected
    if any("*" in one for one in names.get("dns", [])):
        assert "wildcards are refused" in str(error.value)


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


SIP_DOMAIN, ANY, CODE_SIGNING = "1.3.6.1.5.5.7.3.20", "2.5.29.37.0", "1.3.6.1.5.5.7.3.3"
SERVER, CLIENT = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"


@pytest.mark.parametrize("usages", [(), (SIP_DOMAIN,), (ANY,), (SERVER,), (CLIENT,), (CODE_SIGNING, SIP_DOMAIN)])
def test_extended_key_usages_that_allow_sip(usages):
    """RFC 5924 4."""
    assert identity("example.com", dns=["example.com"], usages=usages) == ("example.com", "DNS name")


def test_an_extended_key_usage_without_sip():
    with pytest.raises(TlsVerificationError, match="extended key usage"):
        identity("example.com", dns=["example.com"], usages=(CODE_SIGNING,))


def test_dns_names_count_only_where_no_sip_uri_does():
    """RFC 5922 7.1: a certificate for the SIP domain a.example is none for the web server b.example beside it."""
    names = {"uris": ["sip:a.example"], "dns": ["b.example"]}
    assert identity("a.example", **names) == ("a.example", "SIP URI")
    with pytest.raises(TlsVerificationError):
        identity("b.example", **names)
    assert identity("b.example", uris=["sip:someone@a.example"], dns=["b.example"])[1] == "DNS name"


def test_session_keys_are_not_logged(authority: TestAuthority, tmp_path: Path, monkeypatch):
    """ssl.create_default_context() would write them wherever this says."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    own = authority.issue("logged")
    for context in (client_context(ca_file=authority.ca_path), server_context(own)):
        assert context.keylog_filename is None
    assert ssl.create_default_context().keylog_filename is not None
