"""Whatever an initiator of ours proposes, a responder of ours can answer, and both come to the same."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mikey_parties import NOW, Pair

from sdp.mikey import (
    EncryptionAlgorithm,
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

PROFILES = [one for one in Profile if one.encrypts]
keys = st.lists(st.binary(min_size=16, max_size=80), min_size=1, max_size=4, unique=True).map(
    lambda found: tuple(
        KeyData(KeyType.TGK, SecretBytes(one), None, KeyValidity(1, spi=bytes((place,))))
        for place, one in enumerate(found)
    )
)


@st.composite
def proposals(draw: st.DrawFn) -> Proposal:
    profiles = tuple(draw(st.lists(st.sampled_from(PROFILES), min_size=1, max_size=3, unique=True)))
    numbers = st.integers(0, len(profiles) - 1)
    streams = st.builds(SrtpId, numbers, st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
    mode = draw(st.sampled_from(Mode))
    encryption = draw(st.sampled_from((EncryptionAlgorithm.AES_CM_128, EncryptionAlgorithm.AES_CM_256)))
    carries = mode in (Mode.PSK, Mode.PUBLIC_KEY)
    return Proposal(
        mode=mode,
        streams=tuple(draw(st.lists(streams, max_size=6))),
        srtp_profiles=profiles,
        verification=draw(st.booleans()),
        keys=draw(keys) if carries and draw(st.booleans()) else (),
        prf=draw(st.sampled_from(PrfFunction)),
        encryption=encryption,
        mac=draw(st.sampled_from((MacAlgorithm.HMAC_SHA_1_160, MacAlgorithm.HMAC_SHA_256_256))),
        signature_type=draw(st.sampled_from((SignatureType.RSA_PKCS1_1_5, SignatureType.RSA_PSS))),
        signature_hash=draw(st.sampled_from((HashFunction.SHA_1, HashFunction.SHA_256))),
        sdp_ids=draw(st.sampled_from(((), ("mikey",), ("mikey", "keyp1")))),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(proposal=proposals(), ssrcs=st.lists(st.integers(1, 0xFFFFFFFF), max_size=6))
def test_any_proposal_can_be_answered(pair: Pair, proposal: Proposal, ssrcs: list[int]) -> None:
    initiator = pair.initiator(proposal)
    request = initiator.create_message(NOW)
    accepted = pair.responder().receive(
        request, NOW, ssrcs=tuple(ssrcs), sdp_ids=proposal.sdp_ids if proposal.sdp_ids else None
    )
    answered = proposal.verification or proposal.mode.always_answered
    assert (accepted.response is not None) == answered
    if accepted.response is not None:
        initiator.receive(accepted.response, NOW)
    assert initiator.bundle is not None
    ours, theirs = initiator.bundle.sessions, accepted.bundle.sessions
    assert len(ours) == len(proposal.streams)
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.cs_id, mine.roc, mine.keys) == (other.cs_id, other.roc, other.keys)
        assert mine.ssrc == other.ssrc or not answered
        for one, same in zip(mine.keys, other.keys, strict=True):
            packet = b"\x80\x00\x00\x01" + bytes(8) + b"payload"
            assert Session(None, same.policy).unprotect(Session(one.policy, None).protect(packet)) == packet
