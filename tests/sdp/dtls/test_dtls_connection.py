"""One association: keys, who may talk to it, whose certificate counts, and what a stranger cannot do."""

from __future__ import annotations

import contextlib

import pytest
from dtls_link import CLIENT, SERVER, STRANGER, Link, pair
from OpenSSL import SSL

from sdp.dtls import (
    PROTECTION_PROFILES,
    AssociationClosed,
    DtlsCertificate,
    DtlsConnection,
    DtlsFailure,
    DtlsState,
    Fingerprint,
    HandshakeCompleted,
    HandshakeFailed,
    SetupRole,
)
from sdp.dtls.dtls_records import datagrams_of, record_headers
from sdp.dtls.protection_profiles import EXPORTER_LABEL, keying_material_length, policies_from
from sdp.errors import DtlsError, FingerprintError
from srtp import Policy, Profile, Session

PACKET = bytes.fromhex("800000010000000012345678") + b"hello"
RTCP = bytes.fromhex("80c9000112345678")


def connected(link: Link) -> tuple[HandshakeCompleted, HandshakeCompleted]:
    link.start()
    link.deliver()
    (ours,), (theirs,) = link.client_events, link.server_events
    assert isinstance(ours, HandshakeCompleted)
    assert isinstance(theirs, HandshakeCompleted)
    assert link.connected
    return ours, theirs


def failure(events: list[object]) -> DtlsFailure:
    (event,) = events
    assert isinstance(event, HandshakeFailed)
    return event.failure


@pytest.mark.parametrize("profile", PROTECTION_PROFILES, ids=lambda profile: profile.name)
def test_both_sides_have_the_same_keys_and_exchange_srtp(
    alice: DtlsCertificate, bob: DtlsCertificate, profile: Profile
) -> None:
    ours, theirs = connected(pair(alice, bob, profiles=(profile,)))
    assert ours.profile is theirs.profile is profile
    assert (ours.outbound, ours.inbound) == (theirs.inbound, theirs.outbound)
    assert ours.outbound != ours.inbound
    client, server = Session(ours.outbound, ours.inbound), Session(theirs.outbound, theirs.inbound)
    assert server.unprotect(client.protect(PACKET)) == client.unprotect(server.protect(PACKET)) == PACKET
    assert server.unprotect_rtcp(client.protect_rtcp(RTCP)) == RTCP


def test_the_servers_order_of_profiles_counts(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    long, short = Profile.AES_CM_128_HMAC_SHA1_80, Profile.AES_CM_128_HMAC_SHA1_32
    for order in ((long, short), (short, long)):
        link = pair(alice, bob, profiles=order)
        link.client = pair(alice, bob, profiles=order[::-1]).client
        assert connected(link)[0].profile is order[0]


def test_every_association_has_keys_of_its_own(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    first, second = connected(pair(alice, bob))[0], connected(pair(alice, bob))[0]
    assert first.outbound.master_key != second.outbound.master_key


def test_no_profile_in_common(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    """RFC 5764 4.1.1: without use_srtp in its hello a server's association is plain DTLS, and of no use."""
    link = pair(alice, bob, profiles=(Profile.AES_CM_128_HMAC_SHA1_80,))
    link.client = pair(alice, bob, profiles=(Profile.AES_CM_128_HMAC_SHA1_32,)).client
    link.start()
    link.deliver()
    assert DtlsFailure.PROFILE in {event.failure for event in link.client_events if isinstance(event, HandshakeFailed)}
    assert not any(isinstance(event, HandshakeCompleted) for event in link.client_events + link.server_events)


def test_keys_in_the_order_of_rfc_5764() -> None:
    material = bytes(range(60))
    client, server = policies_from(Profile.AES_CM_128_HMAC_SHA1_80, material, SetupRole.ACTIVE)
    assert bytes(client.master_key) == material[:16]
    assert bytes(server.master_key) == material[16:32]
    assert bytes(client.master_salt) == material[32:46]
    assert bytes(server.master_salt) == material[46:]
    assert policies_from(Profile.AES_CM_128_HMAC_SHA1_80, material, SetupRole.PASSIVE) == (server, client)
    for role, wrong in ((SetupRole.ACTPASS, material), (SetupRole.ACTIVE, material[:-1])):
        with pytest.raises(DtlsError):
            policies_from(Profile.AES_CM_128_HMAC_SHA1_80, wrong, role)


@pytest.mark.parametrize("wrong_side", ["client", "server"])
@pytest.mark.parametrize("kind", ["other certificate", "one hash of two", "unknown hash only"])
def test_a_certificate_that_was_not_signalled(
    alice: DtlsCertificate, bob: DtlsCertificate, mallory: DtlsCertificate, wrong_side: str, kind: str
) -> None:
    """Fingerprints are enforced on either side, whatever else a peer signalled."""
    honest = (alice if wrong_side == "server" else bob).fingerprint()
    if kind == "unknown hash only":
        with pytest.raises(FingerprintError):
            DtlsConnection(bob, SetupRole.ACTIVE, [Fingerprint("sha3-256", bytes(32))])
        return
    fingerprints = (mallory.fingerprint(),) if kind == "other certificate" else (honest, mallory.fingerprint("sha-512"))
    link = pair(alice, bob)
    checking: DtlsConnection = getattr(link, wrong_side)
    checking.fingerprints = fingerprints
    link.start()
    link.deliver()
    events = link.client_events if wrong_side == "client" else link.server_events
    assert failure(events) is DtlsFailure.FINGERPRINT
    assert checking.state is DtlsState.FAILED
    others = link.server_events if wrong_side == "client" else link.client_events
    assert not any(isinstance(event, HandshakeCompleted) for event in others)


def test_fingerprints_in_lower_case_are_the_same(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    link = pair(alice, bob)
    link.client.fingerprints = (Fingerprint.parse(bob.fingerprint().serialize().lower()),)
    connected(link)


@pytest.mark.parametrize("role", [SetupRole.ACTIVE, SetupRole.PASSIVE])
def test_no_fingerprints_or_our_own(alice: DtlsCertificate, bob: DtlsCertificate, role: SetupRole) -> None:
    """A fingerprint that was compared with itself, and an empty list, have both been accepted by others."""
    with pytest.raises(FingerprintError) as caught:
        DtlsConnection(alice, role, [])
    assert caught.value.code == "missing"
    with pytest.raises(FingerprintError) as caught:
        DtlsConnection(alice, role, [bob.fingerprint(), alice.fingerprint("sha-384")])
    assert caught.value.code == "reflected"


@pytest.mark.parametrize(("shows_certificate", "use_srtp"), [(False, True), (True, False)])
def test_a_client_without_a_certificate_or_without_use_srtp(
    alice: DtlsCertificate, bob: DtlsCertificate, shows_certificate: bool, use_srtp: bool
) -> None:
    """RFC 8122 6.2: the server must ask for the client's certificate, and refuse to do without."""
    context = SSL.Context(SSL.DTLS_METHOD)
    if shows_certificate:
        context.use_certificate(alice.certificate)
        context.use_privatekey(alice.private_key)
    if use_srtp:
        context.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_80")
    client = SSL.Connection(context, None)
    client.set_connect_state()
    server = pair(alice, bob).server
    for _ in range(6):
        with contextlib.suppress(SSL.Error):
            client.do_handshake()
        with contextlib.suppress(SSL.WantReadError):
            for datagram in datagrams_of(client.bio_read(65536), 1200):
                server.receive_datagram(datagram, CLIENT, 0)
        for datagram, _ in server.datagrams_to_send():
            client.bio_write(datagram)
    expected = DtlsFailure.PROFILE if shows_certificate else DtlsFailure.FINGERPRINT
    assert failure(server.events()) is expected


def test_a_strangers_hello_changes_nothing(
    alice: DtlsCertificate, bob: DtlsCertificate, mallory: DtlsCertificate
) -> None:
    """CVE-2023-51443: a ClientHello from an address that nobody signalled or validated."""
    link = pair(alice, bob)
    stranger = DtlsConnection(mallory, SetupRole.ACTIVE, [bob.fingerprint()], signalled=SERVER)
    stranger.start(0)
    for datagram, _ in stranger.datagrams_to_send():
        link.server.receive_datagram(datagram, STRANGER, 0)
        link.server.receive_datagram(datagram, (CLIENT[0], CLIENT[1] + 1), 0)
    assert link.server.state is DtlsState.NEW
    assert link.server.dropped == 2
    assert link.server.datagrams_to_send() == []
    connected(link)


def test_a_forged_source_changes_nothing_either(
    alice: DtlsCertificate, bob: DtlsCertificate, mallory: DtlsCertificate
) -> None:
    """It gets a HelloVerifyRequest where the peer is, which has not asked, and no state."""
    link = pair(alice, bob)
    forger = DtlsConnection(mallory, SetupRole.ACTIVE, [bob.fingerprint()], signalled=SERVER)
    forger.start(0)
    (hello, _), *_ = forger.datagrams_to_send()
    for _ in range(5):
        link.server.receive_datagram(hello, CLIENT, 0)
    assert link.server.state is DtlsState.NEW
    answers = link.server.datagrams_to_send()
    assert {datagram[13] for datagram, _ in answers} == {3}
    assert all(len(datagram) <= len(hello) for datagram, _ in answers)
    connected(link)


def test_an_address_that_ice_validated(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    """From there no cookie is asked for, and there what is sent goes to."""
    link = pair(alice, bob, signalled=False)
    link.start()
    assert link.client.datagrams_to_send() == []
    link.server.validate(CLIENT, 0)
    link.client.validate(SERVER, 0, selected=True)
    connected(link)
    assert next(datagram[13] for side, datagram in link.sent if side == "server") == 2


def test_validated_while_the_cookie_is_under_way(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    """The second ClientHello is the first of another numbering: it has to be met by who asked for it."""
    link = pair(alice, bob)
    link.start()
    (hello, _), *_ = link.client.datagrams_to_send()
    link.server.receive_datagram(hello, CLIENT, 0)
    link.server.validate(CLIENT, 0, selected=True)
    (verify, _), *_ = link.server.datagrams_to_send()
    link.client.receive_datagram(verify, SERVER, 0)
    connected(link)


def test_validated_addresses_are_bounded(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    server = pair(alice, bob).server
    for port in range(1, 1000):
        server.validate(("192.0.2.9", port), 0)
    assert not server.may_come_from(("192.0.2.9", 935))
    assert server.may_come_from(("192.0.2.9", 936))
    assert server.may_come_from(CLIENT)


@pytest.mark.parametrize("damage", ["cut", "longer", "version", "noise", "empty", "huge"])
def test_what_is_no_dtls_is_dropped(alice: DtlsCertificate, bob: DtlsCertificate, damage: str) -> None:
    link = pair(alice, bob)
    link.client.start(0)
    (hello, _), *_ = link.client.datagrams_to_send()
    bad = {
        "cut": hello[:-1],
        "longer": hello + b"\0",
        "version": hello[:1] + b"\x03\x03" + hello[3:],
        "noise": bytes([22]) * 40,
        "empty": b"",
        "huge": hello[:11] + b"\xff\xff" + bytes(65535),
    }[damage]
    link.server.receive_datagram(bad, CLIENT, 0)
    assert (link.server.dropped, link.server.state) == (1, DtlsState.NEW)
    link.client = pair(alice, bob).client
    connected(link)


def test_an_established_association_outlives_forged_alerts(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    link = pair(alice, bob)
    connected(link)
    for description in (0, 40, 46):
        alert = bytes.fromhex("15fefd0000000000000099" + "0002" + "02") + bytes([description])
        link.server.receive_datagram(alert, CLIENT, 0)
        link.client.receive_datagram(alert, SERVER, 0)
        encrypted = bytes.fromhex("15fefd00010000000000990020") + bytes(32)
        link.server.receive_datagram(encrypted, CLIENT, 0)
    link.deliver()
    assert link.connected
    link.client.close()
    link.deliver()
    assert isinstance(link.server_events[-1], AssociationClosed)
    assert link.server.state is link.client.state is DtlsState.CLOSED


def test_a_second_hello_does_not_begin_anew(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    link = pair(alice, bob)
    ours, _ = connected(link)
    other = pair(alice, bob).client
    other.start(0)
    for datagram, _ in other.datagrams_to_send():
        link.server.receive_datagram(datagram, CLIENT, 0)
    link.deliver()
    assert link.connected
    assert len(link.server_events) == 1
    assert ours.outbound == link.server_events[0].inbound  # type: ignore[union-attr]


def test_time_runs_out(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    link = pair(alice, bob, handshake_seconds=5.0)
    assert link.client.next_timer(100.0) is None
    link.start(100.0)
    timer = link.client.next_timer(100.0)
    assert timer is not None
    assert 100.0 < timer <= 105.0
    assert link.server.next_timer(100.0) == 105.0
    for side in (link.client, link.server):
        side.handle_timer(104.9)
        assert side.events() == []
        side.handle_timer(105.0)
        assert failure(list(side.events())) is DtlsFailure.TIMEOUT
        assert side.next_timer(106.0) is None


def test_events_and_errors_show_no_keys(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    ours, _ = connected(pair(alice, bob))
    text = repr(ours)
    for policy in (ours.outbound, ours.inbound):
        assert isinstance(policy, Policy)
        assert repr(bytes(policy.master_key))[2:-1] not in text
        assert bytes(policy.master_key).hex() not in text


def test_roles_and_profiles_that_do_not_fit(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    with pytest.raises(DtlsError):
        DtlsConnection(alice, SetupRole.ACTPASS, [bob.fingerprint()])
    for profiles in ((), (Profile.NULL_HMAC_SHA1_80,)):
        with pytest.raises(DtlsError):
            DtlsConnection(alice, SetupRole.ACTIVE, [bob.fingerprint()], profiles=profiles)


def test_small_datagrams(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    link = pair(alice, bob, mtu=300)
    connected(link)
    assert max(len(datagram) for _, datagram in link.sent) <= 300
    assert len(link.sent) > 8


def test_datagrams_of_records() -> None:
    record = bytes.fromhex("16fefd0000000000000000000a") + bytes(10)
    assert datagrams_of(record * 5, 50) == [record * 2, record * 2, record]
    assert datagrams_of(record * 2, 10) == [record, record]
    assert datagrams_of(b"", 50) == []
    assert [one.end for one in record_headers(record * 2)] == [23, 46]


def test_the_exporter_is_that_of_rfc_5764() -> None:
    assert EXPORTER_LABEL == b"EXTRACTOR-dtls_srtp"
    assert keying_material_length(Profile.AES_CM_128_HMAC_SHA1_80) == 60
