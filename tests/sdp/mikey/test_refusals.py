"""What an authenticated message is refused for: policies, keys, protocols, updates; and error messages."""

from __future__ import annotations

import hmac
from dataclasses import replace

import mikey_derivation as rfc
import pytest
from mikey_messages import ONVIF
from mikey_parties import ALICE_SSRC, BOB_SSRC, NOW, STREAMS, Pair
from mikey_refusals import refused, request_of, timestamp

from sdp.mikey import (
    NULL_OVER_TLS,
    CryptoSessionBundle,
    DataType,
    EmptyMap,
    EncryptionAlgorithm,
    EnvelopeKeyCache,
    Err,
    ErrorNumber,
    Header,
    Id,
    Initiator,
    Kemac,
    KeyData,
    KeyType,
    KeyValidity,
    MacAlgorithm,
    Message,
    MikeyError,
    MikeyIndistinguishableKeysError,
    MikeyParseError,
    MikeyPeerError,
    MikeyRefusedError,
    Mode,
    Ourselves,
    Peer,
    PolicyParameter,
    PrfFunction,
    Proposal,
    Rand,
    ReplayCache,
    Responder,
    ResponderSettings,
    Sp,
    SrtpIdMap,
    T,
    nai_id,
    policy_payload,
    profile_of,
    uri_id,
)
from sdp.mikey.exchange import seal_with_kemac
from sdp.mikey.key_transport import MessageKeys
from sdp.mikey.prf import KeyDerivation
from sdp.mikey.srtp_policy import key_derivation_rate_of
from srtp import Profile, SecretBytes


@pytest.mark.parametrize("mode", Mode)
def test_policies_that_are_not_accepted_are_answered_with_those_that_are(pair: Pair, mode: Mode) -> None:
    initiator, request = request_of(pair, mode)
    responder = pair.responder(srtp_profiles=(Profile.AES_CM_128_HMAC_SHA1_32,))
    error = refused(responder, request)
    assert error.error_no == ErrorNumber.INVALID_SPPAR
    assert error.response is not None
    damaged = error.response[:-1] + bytes((error.response[-1] ^ 1,))
    with pytest.raises(MikeyRefusedError):
        initiator.receive(damaged, NOW)
    with pytest.raises(MikeyPeerError) as caught:
        initiator.receive(error.response, NOW)
    assert caught.value.authenticated
    assert caught.value.error_numbers == (ErrorNumber.INVALID_SPPAR,)
    assert caught.value.policies == (policy_payload(Profile.AES_CM_128_HMAC_SHA1_32),)
    with pytest.raises(MikeyError, match="over"):
        initiator.receive(error.response, NOW)


def test_an_error_that_anybody_may_have_sent_does_not_end_the_exchange(pair: Pair) -> None:
    initiator, request = request_of(pair, Mode.PSK)
    message = Message.parse(request)
    forged = Message(Header(DataType.ERROR, message.header.csb_id), (message.all(T)[0], Err(0))).serialize()
    with pytest.raises(MikeyPeerError) as caught:
        initiator.receive(forged, NOW)
    assert not caught.value.authenticated
    response = pair.responder().receive(request, NOW).response
    assert response is not None
    initiator.receive(response, NOW)


@pytest.mark.parametrize(
    ("parameter", "error_no"),
    [
        (PolicyParameter(0, b"\0"), ErrorNumber.INVALID_SPPAR),
        (PolicyParameter(0, b"\x07"), ErrorNumber.INVALID_SPPAR),
        (PolicyParameter(1, b"\x11"), ErrorNumber.INVALID_SPPAR),
        (PolicyParameter(2, b"\0"), ErrorNumber.INVALID_SPPAR),
        (PolicyParameter(4, b"\x08"), ErrorNumber.INVALID_SPPAR),
        (PolicyParameter(5, b"\x01"), ErrorNumber.INVALID_SPPAR),
        (PolicyParameter(7, b"\0"), ErrorNumber.INVALID_SPPAR),
        (PolicyParameter(8, b"\0"), ErrorNumber.INVALID_SPPAR),
        (PolicyParameter(10, b"\0"), ErrorNumber.INVALID_SPPAR),
        (PolicyParameter(11, b"\x08"), ErrorNumber.INVALID_SPPAR),
        (PolicyParameter(13, b"\0\1"), ErrorNumber.INVALID_SPPAR),
        (PolicyParameter(99, b"\1"), ErrorNumber.INVALID_SPPAR),
    ],
)
def test_a_policy_that_weakens_or_is_not_known_is_refused(parameter: PolicyParameter, error_no: ErrorNumber) -> None:
    usual = policy_payload(Profile.AES_CM_128_HMAC_SHA1_80).parameters
    changed = (*tuple(one for one in usual if one.kind != parameter.kind), parameter)
    with pytest.raises(MikeyRefusedError) as caught:
        profile_of(Sp(0, 0, changed))
    assert caught.value.error_no == error_no
    with pytest.raises(MikeyRefusedError):
        profile_of(Sp(0, 0, (*usual, usual[0])))


def test_a_policy_takes_srtps_defaults() -> None:
    assert profile_of(Sp(0, 0, ())) is Profile.AES_CM_128_HMAC_SHA1_80
    assert profile_of(Sp(0, 0, (PolicyParameter(18, b"\x04"),))) is Profile.AES_CM_128_HMAC_SHA1_32
    for rate in (b"\x03", b"\x02\0\0\0"):  # no power of two, more than 2^24
        with pytest.raises(MikeyRefusedError):
            key_derivation_rate_of(Sp(0, 0, (PolicyParameter(6, rate),)))
    assert key_derivation_rate_of(Sp(0, 0, (PolicyParameter(6, b"\x01\0\0\0"),))) == 1 << 24
    with pytest.raises(MikeyRefusedError) as caught:
        profile_of(Sp(0, 1, ()))
    assert caught.value.error_no == ErrorNumber.INVALID_SP


@pytest.mark.parametrize("profile", Profile)
def test_a_profile_survives_its_policy(profile: Profile) -> None:
    assert profile_of(policy_payload(profile), allow_null=True) is profile


def test_keys_that_cannot_be_told_apart_or_are_too_short_are_refused(pair: Pair) -> None:
    good = SecretBytes(bytes(range(32)))
    cases = [
        (KeyData(KeyType.TGK, SecretBytes(b"short")),),
        (KeyData(KeyType.TGK, good), KeyData(KeyType.TGK, good, None, KeyValidity(1, spi=b"\1"))),
        (KeyData(KeyType.TGK, good, None, KeyValidity(1, spi=b"\1")),) * 2,
        (KeyData(KeyType.TEK, good),),
        (KeyData(KeyType.TEK_SALT, good, SecretBytes(bytes(14))),),
        (KeyData(KeyType.MPK, good),),
        (KeyData(KeyType.TGK, SecretBytes(bytes(64))),),
        tuple(KeyData(KeyType.TGK, good, None, KeyValidity(1, spi=bytes((n,)))) for n in range(17)),
        (KeyData(KeyType.TGK, good, None, KeyValidity(1, spi=bytes(129))),),
        (KeyData(KeyType.TGK, good, None, KeyValidity(2, valid_from=b"", valid_to=b"")),),
    ]
    for keys in cases:
        _, request = request_of(pair, Mode.PSK, keys=keys)
        assert refused(pair.responder(), request).response is not None


def by_mki(spi: bytes) -> KeyValidity:
    return KeyValidity(1, spi=spi)


def by_interval(first: int, last: int) -> KeyValidity:
    return KeyValidity(2, valid_from=first.to_bytes(6), valid_to=last.to_bytes(6))


@pytest.mark.parametrize("mode", [Mode.PSK, Mode.PUBLIC_KEY])
@pytest.mark.parametrize(
    ("validities", "text"),
    [
        ((by_mki(b"\1"), by_mki(b"\2"), by_mki(b"\1")), "same MKI"),
        ((by_mki(b"\1"), by_mki(b"\0\1")), "different lengths"),
        ((by_interval(0, 9), by_interval(20, 30), by_interval(9, 19)), "overlap"),
        ((by_interval(0, 99), by_interval(20, 30)), "overlap"),
        ((by_mki(b"\1"), by_interval(0, 9)), "MKI, others an interval"),
        ((KeyValidity(), KeyValidity()), "no MKI and no interval"),
        ((by_mki(b"\1"), KeyValidity()), "no MKI and no interval"),
    ],
)
def test_the_responder_refuses_keys_that_cannot_be_told_apart(
    pair: Pair, mode: Mode, validities: tuple[KeyValidity, ...], text: str
) -> None:
    keys = tuple(
        KeyData(KeyType.TGK, SecretBytes(bytes((place,)) * 32), None, validity)
        for place, validity in enumerate(validities)
    )
    initiator, request = request_of(pair, mode, keys=keys)
    error = refused(pair.responder(), request)
    assert isinstance(error, MikeyIndistinguishableKeysError)
    assert text in str(error)
    first, second = error.keys
    assert 0 <= first < second < len(keys)
    assert error.response is not None
    with pytest.raises(MikeyPeerError) as caught:
        initiator.receive(error.response, NOW)
    assert caught.value.authenticated


def test_sdp_ids_are_compared(pair: Pair) -> None:
    """Who takes a protocol away from the offer is found out; so is who never authenticated the list."""
    _, listed = request_of(pair, Mode.PSK, sdp_ids=("keyp1", "mikey"))
    _, silent = request_of(pair, Mode.PSK)
    for data, offered in ((listed, ("mikey",)), (listed, ("mikey", "keyp1")), (silent, ("mikey",))):
        assert refused(pair.responder(), data, sdp_ids=offered).error_no == ErrorNumber.UNSPECIFIED
    pair.responder().receive(listed, NOW, sdp_ids=("keyp1", "mikey"))
    pair.responder(require_sdp_ids=False).receive(silent, NOW, sdp_ids=("mikey",))


def established(pair: Pair, mode: Mode, **more: object) -> CryptoSessionBundle:
    initiator, request = request_of(pair, mode, **more)
    accepted = pair.responder().receive(request, NOW)
    assert accepted.response is not None
    initiator.receive(accepted.response, NOW)
    return accepted.bundle


def test_updates_are_of_a_known_bundle_without_rand_and_later(pair: Pair) -> None:
    bundle = established(pair, Mode.PSK)
    proposal = Proposal(mode=Mode.PSK, streams=STREAMS)
    update = pair.initiator(proposal, bundle=bundle).create_message(NOW + 5)
    assert refused(pair.responder(), update, now=NOW + 5).error_no == ErrorNumber.UNSPECIFIED
    pair.responder().receive(update, NOW + 5, bundle=bundle)
    message = Message.parse(update)
    assert not message.all(Rand)
    payloads = (message.payloads[0], Rand(bytes(16)), *message.payloads[1:])
    assert bundle.message_keys is not None
    again = seal_with_kemac(message.header, payloads[:-1], replace(message.all(Kemac)[0], mac=b""), bundle.message_keys)
    assert refused(pair.responder(), again, now=NOW + 5, bundle=bundle).error_no == ErrorNumber.UNSPECIFIED
    with pytest.raises(MikeyError, match="later time"):
        pair.initiator(proposal, bundle=bundle).create_message(NOW)


def test_a_cached_envelope_key_forbids_public_key_updates(pair: Pair) -> None:
    bundle = established(pair, Mode.PUBLIC_KEY, envelope_key_cache=EnvelopeKeyCache.CACHE)
    update = pair.initiator(Proposal(mode=Mode.PUBLIC_KEY, streams=STREAMS), bundle=bundle).create_message(NOW + 5)
    assert refused(pair.responder(), update, now=NOW + 5, bundle=bundle).error_no == ErrorNumber.INVALID_DT


def test_the_onvif_message_needs_its_own_profile(pair: Pair) -> None:
    peer = Peer(uri_id("sip:camera@example.com"))
    strict = Responder(pair.bob, lambda _: pair.alice_to_bob(), ReplayCache())
    assert refused(strict, ONVIF).error_no in (ErrorNumber.INVALID_TS, ErrorNumber.INVALID_MAC)
    timely = T(0, timestamp(NOW))
    message = Message.parse(ONVIF)
    fresh = Message(message.header, (timely, Rand(bytes(16)), *message.payloads[1:])).serialize()
    assert refused(strict, fresh).error_no == ErrorNumber.INVALID_MAC
    cache = ReplayCache()
    lenient = Responder(pair.bob, lambda _: peer, cache, ResponderSettings(profile=NULL_OVER_TLS))
    accepted = lenient.receive(ONVIF, NOW)
    assert accepted.response is None
    (session,) = accepted.bundle.sessions
    assert (session.ssrc, session.policy.mki) == (0xC20F551C, b"\0\0\0\x2f")
    assert bytes(session.policy.master_key) == bytes(range(0x40, 0x50))
    assert bytes(session.policy.master_salt) == bytes(range(0x50, 0x5E))
    assert len(cache) == 0, "its timestamp is no time, and would stay in the cache"


def test_null_over_tls_takes_and_makes_nothing_else(pair: Pair) -> None:
    _, request = request_of(pair, Mode.PSK)
    lenient = pair.responder(profile=NULL_OVER_TLS)
    assert refused(lenient, request).error_no in (ErrorNumber.INVALID_MAC, ErrorNumber.INVALID_EA)
    null = {"encryption": EncryptionAlgorithm.NULL, "mac": MacAlgorithm.NULL}
    proposal = Proposal(mode=Mode.PSK, streams=STREAMS, **null)  # type: ignore[arg-type]  # a test's shorthand
    initiator = pair.initiator(proposal, profile=NULL_OVER_TLS)
    accepted = lenient.receive(initiator.create_message(NOW), NOW)
    assert accepted.response is not None
    assert initiator.receive(accepted.response, NOW).keys == accepted.bundle.keys
    with pytest.raises(MikeyRefusedError):
        pair.initiator(Proposal(mode=Mode.DHHMAC, streams=STREAMS), profile=NULL_OVER_TLS)


def test_what_makes_no_message_is_a_parse_error(pair: Pair) -> None:
    for data in (b"", b"\x01", bytes(10_000_000)):
        with pytest.raises(MikeyParseError):
            pair.responder().receive(data, NOW)
    bare = Header(DataType.PSK, 1, SrtpIdMap()).serialize(0)
    error = refused(pair.responder(), bare)
    assert (error.error_no, error.response) == (ErrorNumber.INVALID_TS, None)
    other = Message(Header(DataType.SAKKE, 1), (T(0, timestamp(NOW)), Id(0, b""))).serialize()
    assert refused(pair.responder(), other).error_no == ErrorNumber.INVALID_DT


def test_a_nai_is_an_identity_too(pair: Pair) -> None:
    alice = Ourselves(nai_id("alice@example.com"))
    peer = Peer(alice.identity, pair.psk)
    request = Initiator(Proposal(mode=Mode.PSK, streams=STREAMS), alice, pair.bob_to_alice()).create_message(NOW)
    assert Responder(pair.bob, lambda _: peer, ReplayCache()).receive(request, NOW).bundle.initiator == alice.identity


def test_an_update_that_was_held_back_brings_no_old_keys_back(pair: Pair) -> None:
    bundle = established(pair, Mode.PSK)
    proposal = Proposal(mode=Mode.PSK, streams=STREAMS)
    early = pair.initiator(proposal, bundle=bundle).create_message(NOW + 5)
    late = pair.initiator(proposal, bundle=bundle).create_message(NOW + 6)
    updated = pair.responder().receive(late, NOW + 6, bundle=bundle).bundle
    assert refused(pair.responder(), early, now=NOW + 7, bundle=updated).error_no == ErrorNumber.INVALID_TS


def test_a_csb_id_in_use_is_not_taken_again(pair: Pair) -> None:
    given = [b"\0\0\0\1", b"\0\0\0\2", b"\0\0\0\3"]
    initiator = pair.initiator(
        Proposal(mode=Mode.PSK, streams=STREAMS),
        csb_ids_in_use=frozenset((1, 2)),
        random_bytes=lambda length: given.pop(0) if length == 4 else bytes(range(length)),
    )
    assert Message.parse(initiator.create_message(NOW)).header.csb_id == 3


def sealed_dhhmac(pair: Pair, request: bytes, mac_alg: int, mac: bytes) -> bytes:
    """A DHHMAC message with the numbers of RFC 4650's tables, its MAC by a key of the test's own derivation."""
    message = Message.parse(request)
    kemac = Kemac(2, SecretBytes(b""), mac_alg, mac, rfc4650_numbering=True)
    raw = Message(message.header, (*message.payloads[:-1], kemac)).serialize()
    if not mac:
        return raw
    rand = message.all(Rand)[0].rand
    label = bytes.fromhex("2D22AC75FF") + message.header.csb_id.to_bytes(4) + rand
    key = rfc.prf("MIKEY-1", bytes(pair.psk), label, 160)
    return raw[:-20] + hmac.digest(key, raw[:-20], "sha1")


def test_dhhmac_with_the_numbers_of_rfc_4650(pair: Pair) -> None:
    _, request = request_of(pair, Mode.DHHMAC)
    accepted = pair.responder().receive(sealed_dhhmac(pair, request, 0, bytes(20)), NOW)
    assert accepted.response is not None
    answer = Message.parse(accepted.response).payloads[-1]
    assert isinstance(answer, Kemac)
    assert (answer.encr_alg, answer.mac_alg, len(answer.mac), answer.rfc4650_numbering) == (2, 0, 20, True)
    null = refused(pair.responder(), sealed_dhhmac(pair, request, 1, b""))
    assert null.error_no == ErrorNumber.INVALID_MAC


def test_an_empty_map_leaves_policies_to_others(pair: Pair) -> None:
    """RFC 4563 5: no SP payload, and the application names the profile."""
    _, request = request_of(pair, Mode.PSK)
    message = Message.parse(request)
    rand = message.all(Rand)[0].rand
    keys = MessageKeys(KeyDerivation(PrfFunction.MIKEY_1, message.header.csb_id, rand), pair.psk)
    kemac = replace(message.all(Kemac)[0], mac=b"")
    header = replace(message.header, cs_id_map=EmptyMap(1), v=False)
    with_policy = seal_with_kemac(header, message.payloads[:-1], kemac, keys)
    assert refused(pair.responder(), with_policy).error_no == ErrorNumber.INVALID_SP
    payloads = tuple(one for one in message.payloads[:-1] if not isinstance(one, Sp))
    bundle = pair.responder().receive(seal_with_kemac(header, payloads, kemac, keys), NOW).bundle
    assert bundle.sessions == ()
    (keyed,) = bundle.keyed_policies(1, Profile.AES_CM_128_HMAC_SHA1_80)
    assert len(keyed.policy.master_key) == 16


def test_errors_and_responses_are_not_answered_with_errors(pair: Pair) -> None:
    _, request = request_of(pair, Mode.PSK)
    response = pair.responder().receive(request, NOW).response
    assert response is not None
    error = refused(pair.responder(), request, now=NOW + 999).response
    assert error is not None
    for data in (response, error):
        assert refused(pair.responder(), data).response is None


def test_two_streams_with_one_tek_and_one_ssrc_are_refused(pair: Pair) -> None:
    """They would be encrypted with the same keystream; the responder's SSRC counts too."""
    tek = (KeyData(KeyType.TEK_SALT, SecretBytes(b"k" * 16), SecretBytes(b"s" * 14)),)
    _, request = request_of(pair, Mode.PSK, keys=tek)
    assert refused(pair.responder(), request, ssrcs=(ALICE_SSRC,)).error_no == ErrorNumber.UNSPECIFIED
    _, request = request_of(pair, Mode.PSK, keys=tek)
    pair.responder().receive(request, NOW, ssrcs=(BOB_SSRC,))
