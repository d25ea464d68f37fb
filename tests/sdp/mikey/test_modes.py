"""Every mode, initiator and responder: both sides come to the same keys, and SRTP flows with them."""

from __future__ import annotations

import pytest
from mikey_parties import ALICE_SSRC, BOB_SSRC, NOW, STREAMS, Pair
from rtp_packets import rtp

from sdp.mikey import (
    CryptoSessionBundle,
    DhGroup,
    EncryptionAlgorithm,
    EnvelopeKeyCache,
    HashFunction,
    KeyData,
    KeyType,
    KeyValidity,
    MacAlgorithm,
    Mode,
    PrfFunction,
    Proposal,
    SignatureType,
    SrtpId,
)
from srtp import Profile, SecretBytes, Session

ANSWERED = [(mode, True) for mode in Mode]
SILENT = [(Mode.PSK, False), (Mode.PUBLIC_KEY, False)]


def agree(
    pair: Pair,
    proposal: Proposal,
    *,
    previous: tuple[CryptoSessionBundle, CryptoSessionBundle] | None = None,
    now: float = NOW,
    **settings: object,
) -> tuple[CryptoSessionBundle, CryptoSessionBundle]:
    """Runs the exchange and returns both bundles, the initiator's first."""
    initiator = pair.initiator(proposal, bundle=previous[0] if previous else None)
    request = initiator.create_message(now)
    accepted = pair.responder(**settings).receive(
        request, now + 1, ssrcs=(BOB_SSRC,), bundle=previous[1] if previous else None
    )
    if accepted.response is not None:
        initiator.receive(accepted.response, now + 2)
    assert initiator.bundle is not None
    return initiator.bundle, accepted.bundle


def assert_srtp_flows(mine: CryptoSessionBundle, theirs: CryptoSessionBundle, key: int = 0) -> None:
    """Each side protects its stream with its policy; the other side reads it, and nobody else's."""
    assert len(mine.sessions) == len(theirs.sessions) >= 2
    policies = [(a.keys[key].policy, b.keys[key].policy) for a, b in zip(mine.sessions, theirs.sessions, strict=True)]
    (to_bob, from_alice), (from_bob, to_alice) = policies[:2]
    alice = Session(to_bob, from_bob)
    bob = Session(to_alice, from_alice)
    there = rtp(1, ssrc=ALICE_SSRC)
    back = rtp(1, ssrc=BOB_SSRC)
    assert bob.unprotect(alice.protect(there)) == there
    assert alice.unprotect(bob.protect(back)) == back
    assert bytes(to_bob.master_key) != bytes(from_bob.master_key) or to_bob.profile is not from_bob.profile


@pytest.mark.parametrize(("mode", "verification"), ANSWERED + SILENT)
def test_both_sides_come_to_the_same_keys(pair: Pair, mode: Mode, verification: bool) -> None:
    mine, theirs = agree(pair, Proposal(mode=mode, streams=STREAMS, verification=verification))
    assert mine.csb_id == theirs.csb_id
    assert mine.keys == theirs.keys
    assert (mine.initiator, mine.responder) == (theirs.initiator, theirs.responder)
    assert [one.ssrc for one in theirs.sessions] == [ALICE_SSRC, BOB_SSRC]
    if verification:
        assert [one.ssrc for one in mine.sessions] == [ALICE_SSRC, BOB_SSRC]
    assert_srtp_flows(mine, theirs)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("prf", PrfFunction)
def test_with_either_prf(pair: Pair, mode: Mode, prf: PrfFunction) -> None:
    assert_srtp_flows(*agree(pair, Proposal(mode=mode, streams=STREAMS, prf=prf, mac=MacAlgorithm(prf + 1))))


@pytest.mark.parametrize("mode", [Mode.PSK, Mode.PUBLIC_KEY])
@pytest.mark.parametrize("encryption", [one for one in EncryptionAlgorithm if one])
def test_with_every_encryption(pair: Pair, mode: Mode, encryption: EncryptionAlgorithm) -> None:
    assert_srtp_flows(*agree(pair, Proposal(mode=mode, streams=STREAMS, encryption=encryption)))


def test_key_wrap_needs_no_mac_in_the_public_key_mode(pair: Pair) -> None:
    kw = EncryptionAlgorithm.AES_KW_128
    proposal = Proposal(mode=Mode.PUBLIC_KEY, streams=STREAMS, encryption=kw, mac=MacAlgorithm.NULL)
    assert_srtp_flows(*agree(pair, proposal))


@pytest.mark.parametrize("mode", [Mode.DH_SIGN, Mode.DHHMAC])
@pytest.mark.parametrize("group", [DhGroup.OAKLEY_5, DhGroup.OAKLEY_2])
def test_with_the_groups_of_the_profile(pair: Pair, mode: Mode, group: DhGroup) -> None:
    mine, theirs = agree(pair, Proposal(mode=mode, streams=STREAMS, dh_group=group))
    assert len(mine.keys[0].key) == {DhGroup.OAKLEY_5: 192, DhGroup.OAKLEY_2: 128}[group]
    assert_srtp_flows(mine, theirs)


@pytest.mark.parametrize("mode", [Mode.DH_SIGN, Mode.PUBLIC_KEY, Mode.RSA_R])
@pytest.mark.parametrize("kind", [SignatureType.RSA_PKCS1_1_5, SignatureType.RSA_PSS])
@pytest.mark.parametrize("hash_function", [HashFunction.SHA_1, HashFunction.SHA_256])
def test_with_every_signature(pair: Pair, mode: Mode, kind: SignatureType, hash_function: HashFunction) -> None:
    proposal = Proposal(mode=mode, streams=STREAMS, signature_type=kind, signature_hash=hash_function)
    assert_srtp_flows(*agree(pair, proposal, signature_type=kind, signature_hash=hash_function))


@pytest.mark.parametrize("profile", [one for one in Profile if one.encrypts])
def test_with_every_srtp_profile(pair: Pair, profile: Profile) -> None:
    mine, theirs = agree(pair, Proposal(mode=Mode.PSK, streams=STREAMS, srtp_profiles=(profile,)))
    assert mine.sessions[0].policy.profile is profile
    assert_srtp_flows(mine, theirs)


def test_each_stream_may_have_its_own_policy(pair: Pair) -> None:
    profiles = (Profile.AES_CM_128_HMAC_SHA1_80, Profile.AES_CM_128_HMAC_SHA1_32)
    streams = (SrtpId(0, 1), SrtpId(0, 0), SrtpId(1, 2, 7), SrtpId(1, 0))
    mine, theirs = agree(pair, Proposal(mode=Mode.PSK, streams=streams, srtp_profiles=profiles))
    assert [one.policy.profile for one in mine.sessions] == [profiles[0], profiles[0], profiles[1], profiles[1]]
    assert [one.policy for one in mine.sessions] == [one.policy for one in theirs.sessions]
    assert theirs.sessions[2].roc == 7
    assert len({bytes(one.policy.master_key) for one in mine.sessions}) == 4


@pytest.mark.parametrize("mode", [Mode.PSK, Mode.PUBLIC_KEY])
def test_keys_of_every_type_with_mki_and_interval(pair: Pair, mode: Mode) -> None:
    keys = (
        KeyData(KeyType.TGK, SecretBytes(bytes(range(40))), None, KeyValidity(1, spi=b"\x01\x01")),
        KeyData(KeyType.TGK_SALT, SecretBytes(bytes(16)), SecretBytes(b"s" * 14), KeyValidity(1, spi=b"\x01\x02")),
    )
    tek = KeyData(
        KeyType.TEK_SALT,
        SecretBytes(b"k" * 16),
        SecretBytes(b"t" * 14),
        KeyValidity(2, valid_from=bytes(6), valid_to=b"\x00\x00\x00\x01\x00\x00"),
    )
    mine, theirs = agree(pair, Proposal(mode=mode, streams=STREAMS, keys=keys))
    first, second = theirs.sessions[0].keys
    assert (first.policy.mki, second.policy.mki) == (b"\x01\x01", b"\x01\x02")
    assert bytes(second.policy.master_salt) == b"s" * 14
    assert_srtp_flows(mine, theirs, key=0)
    assert_srtp_flows(mine, theirs, key=1)
    mine, theirs = agree(pair, Proposal(mode=mode, streams=STREAMS, keys=(tek,)))
    (third,) = theirs.sessions[0].keys
    assert (bytes(third.policy.master_key), bytes(third.policy.master_salt)) == (b"k" * 16, b"t" * 14)
    assert (third.policy.mki, third.valid_from, third.valid_to) == (b"", 0, 65536)


def test_one_policy_has_all_keys_and_the_rate(pair: Pair) -> None:
    """Packets under either key are taken by the one policy, and keys are derived anew on the way (RFC 3711 4.3.1)."""
    keys = tuple(
        KeyData(KeyType.TGK, SecretBytes(bytes([n]) * 16), None, KeyValidity(1, spi=bytes([n]))) for n in (1, 2)
    )
    mine, theirs = agree(pair, Proposal(mode=Mode.PSK, streams=STREAMS, keys=keys, key_derivation_rate=256))
    sending, receiving = mine.sessions[0], theirs.sessions[0].policy
    assert [one.mki for one in receiving.master_keys] == [b"\x01", b"\x02"]
    assert receiving.key_derivation_rate == 256
    assert sending.policy == receiving
    for first in (0, 500):  # before and behind a derivation
        for key in sending.keys:
            packet = rtp(first + key.policy.mki[0], ssrc=ALICE_SSRC)
            assert Session(None, receiving).unprotect(Session(key.policy, None).protect(packet)) == packet


def test_keys_by_intervals_are_in_one_policy(pair: Pair) -> None:
    def validity(first: int, last: int) -> KeyValidity:
        return KeyValidity(2, valid_from=first.to_bytes(6), valid_to=last.to_bytes(6))

    both = [
        KeyData(KeyType.TGK, SecretBytes(bytes([n]) * 16), None, one)
        for n, one in enumerate((validity(0, 9), validity(10, 99)))
    ]
    mine, theirs = agree(pair, Proposal(mode=Mode.PSK, streams=STREAMS, keys=tuple(both)))
    alice = Session(mine.sessions[0].policy, None)
    bob = Session(None, theirs.sessions[0].policy)
    for number in range(20):
        packet = rtp(number, ssrc=ALICE_SSRC)
        assert bob.unprotect(alice.protect(packet)) == packet


@pytest.mark.parametrize("mode", [Mode.DH_SIGN, Mode.DHHMAC])
def test_a_diffie_hellman_key_may_have_an_mki(pair: Pair, mode: Mode) -> None:
    mine, theirs = agree(pair, Proposal(mode=mode, streams=STREAMS, validity=KeyValidity(1, spi=b"\x07")))
    assert mine.sessions[0].policy.mki == theirs.sessions[1].policy.mki == b"\x07"
    assert_srtp_flows(mine, theirs)


def test_rsa_r_responder_chooses_among_policies(pair: Pair) -> None:
    profiles = (Profile.AES_CM_128_HMAC_SHA1_80, Profile.AES_CM_128_HMAC_SHA1_32)
    proposal = Proposal(mode=Mode.RSA_R, streams=STREAMS, srtp_profiles=profiles)
    mine, theirs = agree(pair, proposal, srtp_profiles=(profiles[1],))
    assert mine.sessions[0].policy.profile is theirs.sessions[1].policy.profile is profiles[1]
    assert_srtp_flows(mine, theirs)


@pytest.mark.parametrize("mode", Mode)
def test_an_update_rekeys_with_the_same_csb_and_rand(pair: Pair, mode: Mode) -> None:
    first = agree(pair, Proposal(mode=mode, streams=STREAMS))
    second = agree(pair, Proposal(mode=mode, streams=STREAMS), previous=first, now=NOW + 60)
    assert second[0].derivation == first[0].derivation
    assert second[0].keys != first[0].keys
    assert second[0].keys == second[1].keys
    assert_srtp_flows(*second)


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode is not Mode.RSA_R])
def test_an_update_without_keys_keeps_them_and_may_add_a_session(pair: Pair, mode: Mode) -> None:
    first = agree(pair, Proposal(mode=mode, streams=STREAMS))
    more = (*STREAMS, SrtpId(0, 5), SrtpId(0, 6))
    second = agree(pair, Proposal(mode=mode, streams=more, rekey=False), previous=first, now=NOW + 60)
    assert second[0].keys == second[1].keys == first[0].keys
    assert second[1].sessions[0].policy == first[1].sessions[0].policy
    assert len(second[0].sessions) == len(second[1].sessions) == 4


@pytest.mark.parametrize("cache", [EnvelopeKeyCache.CACHE, EnvelopeKeyCache.CACHE_FOR_CSB])
def test_a_cached_envelope_key_is_the_pre_shared_key_of_updates(pair: Pair, cache: EnvelopeKeyCache) -> None:
    first = agree(pair, Proposal(mode=Mode.PUBLIC_KEY, streams=STREAMS, envelope_key_cache=cache))
    second = agree(pair, Proposal(mode=Mode.PSK, streams=STREAMS), previous=first, now=NOW + 60)
    third = agree(pair, Proposal(mode=Mode.PSK, streams=STREAMS), previous=second, now=NOW + 120)
    assert third[0].message_key == first[1].message_key != pair.psk
    assert_srtp_flows(*third)


def test_an_envelope_key_that_may_not_be_cached_is_not(pair: Pair) -> None:
    for mode in (Mode.PUBLIC_KEY, Mode.RSA_R):
        assert [one.message_key for one in agree(pair, Proposal(mode=mode, streams=STREAMS))] == [None, None]
