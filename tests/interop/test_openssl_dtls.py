"""DTLS-SRTP handshakes with openssl, as client and as server: the same profile and the same keying material."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from peers.openssl_dtls import OpensslDtls
from peers.process import LOOPBACK

from sdp.dtls import (
    PROTECTION_PROFILES,
    DtlsCertificate,
    DtlsConnection,
    DtlsEvent,
    DtlsFailure,
    Fingerprint,
    HandshakeCompleted,
    HandshakeFailed,
    SetupRole,
)
from sdp.dtls.protection_profiles import keying_material_length, policies_from
from srtp import Profile, Session

PACKET = bytes.fromhex("800000010000000012345678") + b"hello"
pytestmark = [pytest.mark.interop("openssl"), pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def ours() -> DtlsCertificate:
    return DtlsCertificate.generate()


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as opened:
        opened.bind((LOOPBACK, 0))
        yield opened


def run(connection: DtlsConnection, sock: socket.socket, *, seconds: float = 10.0) -> DtlsEvent:
    """Runs an association over a socket until something has come of it."""
    end = time.monotonic() + seconds
    connection.start(time.monotonic())
    while (now := time.monotonic()) < end:
        for datagram, address in connection.datagrams_to_send():
            sock.sendto(datagram, address)
        if events := connection.events():
            return events[0]
        timer = connection.next_timer(now)
        if select.select([sock], [], [], max(0.0, min((timer or end) - now, 0.2)))[0]:
            data, source = sock.recvfrom(65535)
            connection.receive_datagram(data, source, time.monotonic())
        connection.handle_timer(time.monotonic())
    raise AssertionError(f"nothing came of it in {seconds} s: {connection.state}")


def meet(
    directory: Path,
    sock: socket.socket,
    ours: DtlsCertificate,
    role: SetupRole,
    *,
    profiles: tuple[Profile, ...] = tuple(PROTECTION_PROFILES),
    offered: str = "SRTP_AES128_CM_SHA1_80",
    fingerprint: Fingerprint | None = None,
    **peer: object,
) -> tuple[DtlsEvent, OpensslDtls]:
    server_port = sock.getsockname()[1] if role is SetupRole.PASSIVE else None
    length = keying_material_length(profiles[0])
    openssl = OpensslDtls(directory, profiles=offered, length=length, server_port=server_port, **peer)  # type: ignore[arg-type]
    with openssl:
        if role is SetupRole.ACTIVE:
            openssl.await_log("ACCEPT")
        fingerprints = [fingerprint or Fingerprint.of(openssl.certificate)]
        signalled = (LOOPBACK, openssl.port)
        connection = DtlsConnection(ours, role, fingerprints, signalled=signalled, profiles=profiles)
        event = run(connection, sock)
        if isinstance(event, HandshakeCompleted):
            openssl.exported()
        connection.close()
        for datagram, address in connection.datagrams_to_send():
            sock.sendto(datagram, address)
    return event, openssl


@pytest.mark.parametrize("role", [SetupRole.ACTIVE, SetupRole.PASSIVE])
@pytest.mark.parametrize(
    ("profile", "key"),
    [*((profile, "ec") for profile in PROTECTION_PROFILES), (Profile.AES_CM_128_HMAC_SHA1_80, "rsa")],
)
def test_same_keys(
    tmp_path: Path, sock: socket.socket, ours: DtlsCertificate, profile: Profile, role: SetupRole, key: str
) -> None:
    name = PROTECTION_PROFILES[profile]
    event, openssl = meet(tmp_path, sock, ours, role, profiles=(profile,), offered=name, key=key)
    assert isinstance(event, HandshakeCompleted)
    negotiated, material = openssl.exported()
    assert negotiated == name
    assert event.profile is profile
    # The other side's view, from what openssl exported: who is client there is server here.
    theirs_outbound, theirs_inbound = policies_from(profile, material, role.opposite)
    assert (event.outbound, event.inbound) == (theirs_inbound, theirs_outbound)
    here, there = Session(event.outbound, event.inbound), Session(theirs_outbound, theirs_inbound)
    assert there.unprotect(here.protect(PACKET)) == here.unprotect(there.protect(PACKET)) == PACKET


@pytest.mark.parametrize("role", [SetupRole.ACTIVE, SetupRole.PASSIVE])
def test_another_certificate_than_signalled(
    tmp_path: Path, sock: socket.socket, ours: DtlsCertificate, role: SetupRole
) -> None:
    other = DtlsCertificate.generate().fingerprint()
    event, _ = meet(tmp_path, sock, ours, role, fingerprint=other)
    assert isinstance(event, HandshakeFailed)
    assert event.failure is DtlsFailure.FINGERPRINT


def test_a_client_that_shows_no_certificate(tmp_path: Path, sock: socket.socket, ours: DtlsCertificate) -> None:
    event, _ = meet(tmp_path, sock, ours, SetupRole.PASSIVE, with_certificate=False)
    assert isinstance(event, HandshakeFailed)
    assert event.failure is DtlsFailure.FINGERPRINT


@pytest.mark.parametrize("role", [SetupRole.ACTIVE, SetupRole.PASSIVE])
def test_no_profile_in_common(tmp_path: Path, sock: socket.socket, ours: DtlsCertificate, role: SetupRole) -> None:
    profiles = (Profile.AES_CM_128_HMAC_SHA1_32,)
    event, _ = meet(tmp_path, sock, ours, role, profiles=profiles, offered="SRTP_AES128_CM_SHA1_80")
    assert isinstance(event, HandshakeFailed)
    assert event.failure is DtlsFailure.PROFILE
