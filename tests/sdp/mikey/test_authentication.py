"""Who is let in: MACs, signatures, certificates, timestamps, replays; and what others got wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mikey_parties import BOB_SSRC, NOW, STREAMS, Pair, RsaAuthority
from mikey_refusals import error_of, refused, request_of, timestamp

from sdp import SdpError
from sdp.mikey import (
    STRICT,
    Cert,
    DataType,
    Dh,
    DhGroup,
    EncryptionAlgorithm,
    Err,
    ErrorNumber,
    HashFunction,
    Id,
    Initiator,
    Kemac,
    KeyData,
    KeyType,
    MacAlgorithm,
    Message,
    MikeyRefusedError,
    Mode,
    Peer,
    Pke,
    PrfFunction,
    Proposal,
    Rand,
    ReplayCache,
    Responder,
    SignatureType,
    SrtpId,
    SrtpIdMap,
    T,
    uri_id,
)
from sdp.mikey.diffie_hellman import DhKey
from sdp.mikey.exchange import Verification, seal_with_kemac, seal_with_signature, seal_with_v
from sdp.mikey.key_transport import MessageKeys
from sdp.mikey.message import serialize_chain
from sdp.mikey.prf import KeyDerivation
from srtp import SecretBytes


@pytest.mark.parametrize("mode", Mode)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.integers(0, 4000), change=st.integers(1, 255))
def test_a_changed_message_is_refused(pair: Pair, mode: Mode, place: int, change: int) -> None:
    """Wherever a byte changes, of either message, nobody takes it (and nobody fails otherwise)."""
    initiator, request = request_of(pair, mode)
    response = pair.responder().receive(request, NOW, ssrcs=(BOB_SSRC,)).response
    assert response is not None
    damaged = bytearray(request)
    damaged[place % len(request)] ^= change
    with pytest.raises(SdpError):
        pair.responder().receive(bytes(damaged), NOW, ssrcs=(BOB_SSRC,))
    damaged = bytearray(response)
    damaged[place % len(response)] ^= change
    with pytest.raises(SdpError):
        initiator.receive(bytes(damaged), NOW)
    assert initiator.bundle is None
    initiator.receive(response, NOW)


@pytest.mark.parametrize("mode", [Mode.PSK, Mode.DHHMAC])
@pytest.mark.parametrize("length", [16, 32, 64, 192])
def test_another_pre_shared_key_is_refused_whatever_its_length(pair: Pair, mode: Mode, length: int) -> None:
    """With a PRF that adds an empty block, keys of whole blocks would not matter at all."""
    right, wrong = (replace(pair, psk=SecretBytes(bytes(range(fill, fill + length)))) for fill in (1, 2))
    _, request = request_of(right, mode)
    error = refused(wrong.responder(), request)
    assert error.error_no == ErrorNumber.AUTH_FAILURE
    assert len(error_of(error).payloads) == 2, "an error to a stranger is not authenticated"
    right.responder().receive(request, NOW)


@pytest.mark.parametrize("seconds", [-301, 301, -1e9, 1e9])
def test_a_timestamp_out_of_skew_is_refused(pair: Pair, seconds: float) -> None:
    _, request = request_of(pair, Mode.PSK)
    assert refused(pair.responder(), request, now=NOW + seconds).error_no == ErrorNumber.INVALID_TS
    pair.responder().receive(request, NOW + (299 if seconds > 0 else -299))


@pytest.mark.parametrize("mode", Mode)
def test_a_replayed_message_is_refused(pair: Pair, mode: Mode) -> None:
    _, request = request_of(pair, mode)
    responder = pair.responder()
    responder.receive(request, NOW)
    assert refused(responder, request, now=NOW + 200).error_no == ErrorNumber.INVALID_TS


def test_a_reflected_message_is_refused(pair: Pair) -> None:
    """Even by a party that knows its peer only by the one key that they share."""
    cache = ReplayCache()
    peer = Peer(pair.bob.identity, pair.psk)
    initiator = Initiator(Proposal(mode=Mode.PSK, streams=STREAMS), pair.alice, peer, replay_cache=cache)
    request = initiator.create_message(NOW)
    assert refused(Responder(pair.alice, lambda _: peer, cache), request).error_no == ErrorNumber.INVALID_TS
    error = refused(Responder(pair.alice, lambda _: peer, ReplayCache()), request)
    assert error.error_no == ErrorNumber.INVALID_ID


def test_only_authenticated_messages_are_remembered(pair: Pair) -> None:
    cache = ReplayCache()
    _, request = request_of(pair, Mode.PSK)
    refused(pair.responder(cache=cache), request[:-1] + bytes((request[-1] ^ 1,)))
    assert len(cache) == 0
    pair.responder(cache=cache).receive(request, NOW)
    assert len(cache) == 1


def test_the_skew_decreases_as_the_cache_fills() -> None:
    cache = ReplayCache(capacity=4, max_skew=100)
    skews = []
    for number in range(5):
        skews.append(cache.allowed_skew(NOW))
        cache.remember(bytes((number,)), T(0, timestamp(NOW)), NOW)
    assert skews == [100, 75, 50, 25, 0]
    assert len(cache) == 4
    with pytest.raises(MikeyRefusedError):
        cache.check(b"new", T(0, timestamp(NOW)), NOW)
    later = NOW + 101
    cache.check(b"new", T(0, timestamp(later)), later)
    assert cache.allowed_skew(later) == 100
    assert len(cache) == 0


def test_the_clock_wraps_in_2036(pair: Pair) -> None:
    wrap = 2_085_978_496.0  # 2036-02-07 06:28:16
    for now in (wrap - 1, wrap + 1):
        initiator = pair.initiator(Proposal(mode=Mode.PSK, streams=STREAMS))
        request = initiator.create_message(now)
        pair.responder().receive(request, now)
        pair.responder().receive(request, now + 2)
    message = Message.parse(request)
    assert message.all(T)[0].value[:4] == b"\0\0\0\1"


@pytest.mark.parametrize("ts_type", [2, 3])
def test_other_timestamps_are_refused(pair: Pair, ts_type: int) -> None:
    _, request = request_of(pair, Mode.PSK)
    message = Message.parse(request)
    payloads = tuple(T(ts_type, bytes(4)) if isinstance(one, T) else one for one in message.payloads)
    error = refused(pair.responder(), replace(message, payloads=payloads).serialize())
    assert error.error_no == ErrorNumber.INVALID_TS


def test_a_mac_stripped_to_null_is_refused(pair: Pair) -> None:
    initiator, request = request_of(pair, Mode.PSK)
    message = Message.parse(request)
    kemac = message.payloads[-1]
    assert isinstance(kemac, Kemac)
    key = KeyData(KeyType.TGK, SecretBytes(bytes(32)))

    forged = Kemac(0, SecretBytes(serialize_chain((key,))), 0)
    data = Message(message.header, (*message.payloads[:-1], forged)).serialize()
    assert refused(pair.responder(), data).error_no == ErrorNumber.INVALID_MAC
    kept = Message(message.header, (*message.payloads[:-1], replace(kemac, mac_alg=0, mac=b""))).serialize()
    assert refused(pair.responder(), kept).error_no == ErrorNumber.INVALID_MAC
    response = pair.responder().receive(request, NOW).response
    assert response is not None
    with pytest.raises(MikeyRefusedError) as caught:
        initiator.receive(response[:-21] + b"\0", NOW)
    assert caught.value.error_no == ErrorNumber.INVALID_MAC


def test_null_encryption_is_refused(pair: Pair) -> None:
    with pytest.raises(MikeyRefusedError) as caught:
        request_of(pair, Mode.PSK, encryption=EncryptionAlgorithm.NULL)
    assert caught.value.error_no == ErrorNumber.INVALID_EA
    lax = replace(STRICT, encryption=(EncryptionAlgorithm.NULL,))
    proposal = Proposal(mode=Mode.PSK, streams=STREAMS, encryption=EncryptionAlgorithm.NULL)
    request = pair.initiator(proposal, profile=lax).create_message(NOW)
    assert refused(pair.responder(), request).error_no == ErrorNumber.INVALID_EA


@pytest.mark.parametrize("mode", [Mode.DH_SIGN, Mode.DHHMAC])
def test_group_1_is_refused_unless_allowed(pair: Pair, mode: Mode) -> None:
    weak = replace(STRICT, dh_groups=(DhGroup.OAKLEY_1,))
    initiator = pair.initiator(Proposal(mode=mode, streams=STREAMS, dh_group=DhGroup.OAKLEY_1), profile=weak)
    request = initiator.create_message(NOW)
    assert refused(pair.responder(), request).error_no == ErrorNumber.INVALID_DH
    response = pair.responder(profile=weak).receive(request, NOW).response
    assert response is not None
    assert initiator.receive(response, NOW).keys


@pytest.mark.parametrize("group", DhGroup)
def test_values_that_give_a_known_key_are_refused(group: DhGroup) -> None:
    key = DhKey.generate(group)
    length = len(key.value)
    prime = pi_prime(group)
    for value in (0, 1, prime - 1, prime, prime + 1, (1 << 8 * length) - 1):
        with pytest.raises(MikeyRefusedError) as caught:
            key.tgk(value.to_bytes(length))
        assert caught.value.error_no == ErrorNumber.INVALID_DH
    assert key.tgk((2).to_bytes(length)) == SecretBytes(key.value)


def pi_prime(group: DhGroup) -> int:
    """The primes as RFC 2409 6 and RFC 3526 2 define them, from digits of pi."""
    bits, middle, added = {
        DhGroup.OAKLEY_1: (768, 638, 149686),
        DhGroup.OAKLEY_2: (1024, 894, 129093),
        DhGroup.OAKLEY_5: (1536, 1406, 741804),
    }[group]

    def arctan_inverse(x: int, unity: int) -> int:
        total = term = unity // x
        divisor, sign = 1, 1
        while term:
            term //= x * x
            divisor += 2
            sign = -sign
            total += sign * (term // divisor)
        return total

    unity = 1 << (middle + 64)
    pi = 4 * (4 * arctan_inverse(5, unity) - arctan_inverse(239, unity)) >> 64
    return 2**bits - 2 ** (bits - 64) - 1 + 2**64 * (pi + added)


def test_a_wrong_diffie_hellman_value_is_refused_by_either_side(pair: Pair) -> None:
    _, request = request_of(pair, Mode.DH_SIGN)
    message = Message.parse(request)

    one = tuple(Dh(0, (1).to_bytes(192)) if isinstance(part, Dh) else part for part in message.payloads[:-1])
    key = pair.alice.private_key
    assert key is not None
    forged = seal_with_signature(message.header, one, key, SignatureType.RSA_PKCS1_1_5, HashFunction.SHA_1)
    error = refused(pair.responder(), forged)
    assert error.error_no == ErrorNumber.INVALID_DH
    assert error_of(error).payloads[-1].payload_type.name == "SIGN", "to who is known the error is signed"


def test_a_diffie_hellman_value_that_comes_back_is_refused(pair: Pair) -> None:
    initiator, request = request_of(pair, Mode.DHHMAC)
    response = pair.responder().receive(request, NOW).response
    assert response is not None
    message = Message.parse(response)
    keys = initiator._reader.pending.message_keys  # type: ignore[union-attr]  # what only Bob and Alice have
    assert keys is not None
    ours = message.all(Dh)[1]
    payloads = tuple(ours if isinstance(one, Dh) else one for one in message.payloads[:-1])
    forged = seal_with_kemac(message.header, payloads, replace(message.all(Kemac)[0], mac=b""), keys)
    with pytest.raises(MikeyRefusedError) as caught:
        initiator.receive(forged, NOW)
    assert caught.value.error_no == ErrorNumber.INVALID_DH


@pytest.mark.parametrize("mode", [Mode.DH_SIGN, Mode.PUBLIC_KEY, Mode.RSA_R])
def test_certificates_are_checked(pair: Pair, stranger_authority: RsaAuthority, mode: Mode) -> None:
    """Alice's name under another authority; another's name under ours; out of date; no certificate; a short key."""
    assert pair.alice.private_key is not None
    cases = [
        (stranger_authority.issue("sip:alice@example.com"), ErrorNumber.INVALID_CERT),
        (
            replace(pair.authority.issue("sip:mallory@example.com"), identity=pair.alice.identity),
            ErrorNumber.INVALID_ID,
        ),
        (pair.authority.issue("sip:alice@example.com", days=1), ErrorNumber.INVALID_CERT),
        (pair.authority.issue("sip:alice@example.com", bits=1024), ErrorNumber.INVALID_CERT),
        (replace(pair.alice, certificates=()), ErrorNumber.INVALID_CERT),
        (replace(pair.alice, certificates=pair.alice.certificates[:1]), ErrorNumber.INVALID_CERT),
        (replace(pair.alice, certificates=pair.alice.certificates[:1] * 9), ErrorNumber.INVALID_CERT),
        (replace(pair.alice, private_key=pair.bob.private_key), ErrorNumber.AUTH_FAILURE),
    ]
    for party, error_no in cases:
        initiator = replace(pair, alice=party).initiator(Proposal(mode=mode, streams=STREAMS))
        error = refused(pair.responder(), initiator.create_message(NOW), now=NOW + 10)
        assert error.error_no == error_no, str(error)
        assert isinstance(error_of(error).payloads[-1], Err), "an error to a stranger is not signed"


def test_a_known_certificate_needs_no_chain(pair: Pair) -> None:
    alone = replace(pair.alice, certificates=())
    peer = Peer(pair.alice.identity, None, pair.alice.certificates[0])
    for party in (alone, pair.alice):
        request = replace(pair, alice=party).initiator(Proposal(mode=Mode.DH_SIGN, streams=STREAMS)).create_message(NOW)
        accepted = Responder(pair.bob, lambda _: peer, ReplayCache()).receive(request, NOW)
        assert accepted.bundle.initiator == pair.alice.identity


def test_a_message_for_somebody_else_or_from_ourselves_is_refused(pair: Pair) -> None:
    carol = Peer(uri_id("sip:carol@example.com"), pair.psk)
    request = Initiator(Proposal(mode=Mode.PSK, streams=STREAMS), pair.alice, carol).create_message(NOW)
    assert refused(pair.responder(), request).error_no == ErrorNumber.INVALID_ID
    _, request = request_of(pair, Mode.PSK)
    nobody = Responder(pair.bob, lambda _: None, ReplayCache())
    assert refused(nobody, request).error_no == ErrorNumber.AUTH_FAILURE


def test_the_encrypted_identity_has_to_be_the_senders(pair: Pair) -> None:
    """Mallory signs Alice's envelope as her own: the identity inside tells (RFC 3830 3.2)."""
    mallory = pair.authority.issue("sip:mallory@example.com")
    initiator = Initiator(Proposal(mode=Mode.PUBLIC_KEY, streams=STREAMS), pair.alice, pair.bob_to_alice())
    stolen = Message.parse(initiator.create_message(NOW))
    front = tuple(
        mallory.identity if one == pair.alice.identity else one
        for one in stolen.payloads[:-1]
        if one.payload_type.name != "CERT"
    )
    assert mallory.private_key is not None
    data = seal_with_signature(
        stolen.header, front, mallory.private_key, SignatureType.RSA_PKCS1_1_5, HashFunction.SHA_256
    )
    peer = Peer(mallory.identity, None, mallory.certificates[0])
    error = refused(Responder(pair.bob, lambda _: peer, ReplayCache()), data)
    assert error.error_no == ErrorNumber.INVALID_ID


def test_an_envelope_to_another_certificate_is_refused(pair: Pair) -> None:
    other = pair.authority.issue("sip:bob@example.com")
    initiator = Initiator(
        Proposal(mode=Mode.PUBLIC_KEY, streams=STREAMS),
        pair.alice,
        Peer(pair.bob.identity, None, other.certificates[0]),
    )
    assert refused(pair.responder(), initiator.create_message(NOW)).error_no == ErrorNumber.INVALID_CERT


def test_an_envelope_that_does_not_decrypt_tells_nothing_more_than_a_wrong_mac(pair: Pair) -> None:
    _, request = request_of(pair, Mode.PUBLIC_KEY)
    message = Message.parse(request)
    assert pair.alice.private_key is not None
    texts = set()
    for fill in (b"\x00", b"\x42"):
        front = tuple(replace(one, data=fill * 256) if isinstance(one, Pke) else one for one in message.payloads[:-1])
        data = seal_with_signature(
            message.header, front, pair.alice.private_key, SignatureType.RSA_PKCS1_1_5, HashFunction.SHA_1
        )
        texts.add(str(refused(pair.responder(), data)))
    assert texts == {"the MAC does not verify"}


@pytest.mark.parametrize("mode", [Mode.DH_SIGN, Mode.PUBLIC_KEY, Mode.RSA_R])
def test_a_key_is_used_only_for_what_its_certificate_says(pair: Pair, mode: Mode) -> None:
    """A certificate for encryption signs nothing, and to one for signatures nothing is encrypted."""
    encrypts = pair.authority.issue("sip:alice@example.com", signs=False)
    initiator = replace(pair, alice=encrypts).initiator(Proposal(mode=mode, streams=STREAMS))
    assert refused(pair.responder(), initiator.create_message(NOW)).error_no == ErrorNumber.INVALID_CERT
    signs = pair.authority.issue("sip:alice@example.com", encrypts=False)
    initiator = replace(pair, alice=signs).initiator(Proposal(mode=mode, streams=STREAMS))
    request = initiator.create_message(NOW)
    if mode is Mode.RSA_R:
        assert refused(pair.responder(), request).error_no == ErrorNumber.INVALID_CERT
    else:
        pair.responder().receive(request, NOW)


def test_a_certificate_by_its_url_has_to_be_known(pair: Pair) -> None:
    url = replace(pair.alice, certificate_url="http://192.0.2.1/alice.cer")
    for mode in (Mode.DH_SIGN, Mode.RSA_R):
        request = replace(pair, alice=url).initiator(Proposal(mode=mode, streams=STREAMS)).create_message(NOW)
        assert [one.cert_type for one in Message.parse(request).all(Cert)] == [1]
        assert refused(pair.responder(), request).error_no == ErrorNumber.INVALID_CERT
        peer = Peer(pair.alice.identity, None, pair.alice.certificates[0])
        Responder(pair.bob, lambda _, peer=peer: peer, ReplayCache()).receive(request, NOW)


@pytest.mark.parametrize("mode", [Mode.PSK, Mode.DHHMAC])
def test_a_response_has_our_timestamp_and_its_mac_covers_the_identities(pair: Pair, mode: Mode) -> None:
    """Others make a new timestamp, and leave the identities out of V; who has the key could do so, and is refused."""
    initiator, request = request_of(pair, mode)
    response = pair.responder().receive(request, NOW).response
    assert response is not None
    message = Message.parse(response)
    sent = Message.parse(request)
    assert message.all(T) == sent.all(T)
    keys = MessageKeys(KeyDerivation(PrfFunction.MIKEY_1, sent.header.csb_id, sent.all(Rand)[0].rand), pair.psk)
    other = tuple(T(0, timestamp(NOW + 1)) if isinstance(one, T) else one for one in message.payloads[:-1])
    sha1 = MacAlgorithm.HMAC_SHA_1_160
    if mode is Mode.DHHMAC:
        forged = [seal_with_kemac(message.header, other, replace(message.all(Kemac)[0], mac=b""), keys)]
    else:
        behind = Verification(pair.alice.identity, pair.bob.identity, other[0])  # type: ignore[arg-type]  # T is first
        forged = [
            seal_with_v(message.header, other, sha1, keys, behind),
            response[:-20] + keys.mac(sha1, response[:-20]),
        ]
    for data in forged:
        with pytest.raises(MikeyRefusedError):
            initiator.receive(data, NOW)
    initiator.receive(response, NOW)


def test_another_bundle_peer_mode_or_identity_is_no_response(pair: Pair) -> None:
    initiator, request = request_of(pair, Mode.PSK)
    response = pair.responder().receive(request, NOW).response
    assert response is not None
    message = Message.parse(response)
    header = message.header
    assert isinstance(header.cs_id_map, SrtpIdMap)
    keys = MessageKeys(
        KeyDerivation(PrfFunction.MIKEY_1, header.csb_id, Message.parse(request).all(Rand)[0].rand), pair.psk
    )
    behind = Verification(pair.alice.identity, pair.bob.identity, message.all(T)[0])
    mallory = tuple(uri_id("sip:mallory@example.com") if isinstance(one, Id) else one for one in message.payloads[:-1])
    changed = SrtpIdMap((SrtpId(0, 0xBAD), *header.cs_id_map.entries[1:]))
    cases = [
        (replace(header, csb_id=header.csb_id ^ 1), message.payloads[:-1]),
        (replace(header, data_type=DataType.PUBLIC_KEY_VERIFICATION), message.payloads[:-1]),
        (replace(header, prf=1), message.payloads[:-1]),
        (replace(header, cs_id_map=changed), message.payloads[:-1]),
        (replace(header, cs_id_map=SrtpIdMap(header.cs_id_map.entries[:1])), message.payloads[:-1]),
        (header, mallory),
    ]
    for other, payloads in cases:
        with pytest.raises(MikeyRefusedError):
            initiator.receive(seal_with_v(other, payloads, MacAlgorithm.HMAC_SHA_1_160, keys, behind), NOW)
    initiator.receive(response, NOW)
