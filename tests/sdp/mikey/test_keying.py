"""MIKEY as a keying method: whole sessions by offer and answer, re-offers from either side, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mikey_parties import NOW, Pair
from rtp_packets import rtp

from sdp import (
    KeyManagementError,
    LocalMedia,
    MediaSecurity,
    NegotiationError,
    Sdescriptions,
    SessionDescription,
    SessionNegotiation,
)
from sdp.keying.method import LocalSection, RemoteSection
from sdp.mikey import (
    EnvelopeKeyCache,
    Initiator,
    MikeyKeying,
    MikeyResult,
    Mode,
    Ourselves,
    Peer,
    Proposal,
    ReplayCache,
    streams_of_media,
    uri_id,
)
from sdp.mikey.key_mgmt import KeyMgmtAttribute
from srtp import Policy, SecretBytes, Session

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"


class Clock:
    """A clock that moves on with each look, as the times of messages must."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        self.now += 0.25
        return self.now


def methods(pair: Pair, mode: Mode, **more: object) -> tuple[MikeyKeying, MikeyKeying]:
    """Alice's and Bob's, on one clock."""
    clock = Clock()
    proposal = Proposal(mode=mode, streams=(), **more)  # type: ignore[arg-type]  # a test's shorthand
    alice = MikeyKeying(pair.alice, pair.bob_to_alice(), proposal, replay_cache=ReplayCache(), clock=clock)
    to_alice = replace(pair.alice_to_bob(), certificate=pair.alice.certificates[0])
    return alice, MikeyKeying(pair.bob, to_alice, proposal, replay_cache=ReplayCache(), clock=clock)


def local(address: str, *keying: object, port: int = 4000) -> LocalMedia:
    return LocalMedia(address, port, security=MediaSecurity.REQUIRED, keying=keying)  # type: ignore[arg-type]


def sessions(pair: Pair, mode: Mode, count: int = 1, **more: object) -> tuple[SessionNegotiation, SessionNegotiation]:
    ours, theirs = methods(pair, mode, **more)
    return (
        SessionNegotiation(tuple(local("192.0.2.1", ours, port=4000 + 2 * n) for n in range(count))),
        SessionNegotiation(tuple(local("192.0.2.2", theirs, port=4000 + 2 * n) for n in range(count))),
    )


def keyings(negotiation: SessionNegotiation) -> list[MikeyResult]:
    agreement = negotiation.agreement
    assert agreement is not None
    found = [media.keying for media in agreement.media if media is not None]
    assert all(isinstance(one, MikeyResult) for one in found)
    return found  # type: ignore[return-value]  # as asserted


def exchange(offerer: SessionNegotiation, answerer: SessionNegotiation) -> None:
    answerer.receive_offer(offerer.create_offer())
    offerer.receive_answer(answerer.create_answer())


def assert_keyed(ours: MikeyResult, theirs: MikeyResult) -> None:
    assert isinstance(ours.outbound, Policy)
    assert (ours.outbound, ours.inbound) == (theirs.inbound, theirs.outbound)
    assert ours.outbound != ours.inbound
    packet = rtp(1)
    assert Session(None, theirs.inbound).unprotect(Session(ours.outbound, None).protect(packet)) == packet


@pytest.mark.parametrize("mode", Mode)
def test_a_session_is_keyed_in_every_mode(pair: Pair, mode: Mode) -> None:
    alice, bob = sessions(pair, mode)
    exchange(alice, bob)
    (ours,), (theirs,) = keyings(alice), keyings(bob)
    assert_keyed(ours, theirs)
    assert (ours.method, ours.crypto_suite) == ("mikey", "AES_CM_128_HMAC_SHA1_80")


def test_every_section_has_keys_of_its_own(pair: Pair) -> None:
    alice, bob = sessions(pair, Mode.PSK, count=3)
    exchange(alice, bob)
    for ours, theirs in zip(keyings(alice), keyings(bob), strict=True):
        assert_keyed(ours, theirs)
    assert len({bytes(one.outbound.master_key) for one in keyings(alice) + keyings(bob) if one.outbound}) == 6


@pytest.mark.parametrize("mode", Mode)
def test_a_re_offer_from_either_side_keeps_the_keys(pair: Pair, mode: Mode) -> None:
    alice, bob = sessions(pair, mode, count=2)
    exchange(alice, bob)
    before = keyings(alice), keyings(bob)
    for offerer, answerer in ((alice, bob), (bob, alice), (alice, bob)):
        exchange(offerer, answerer)
        for now, then in zip(keyings(alice) + keyings(bob), before[0] + before[1], strict=True):
            assert (now.outbound, now.inbound) == (then.outbound, then.inbound)
            assert now.bundle.csb_id == then.bundle.csb_id


def test_a_cached_envelope_key_carries_the_re_offers(pair: Pair) -> None:
    alice, bob = sessions(pair, Mode.PUBLIC_KEY, envelope_key_cache=EnvelopeKeyCache.CACHE)
    exchange(alice, bob)
    before = keyings(alice)[0].outbound
    exchange(bob, alice)
    assert keyings(alice)[0].outbound == before
    assert keyings(bob)[0].bundle.mode is Mode.PSK


@pytest.mark.parametrize("mode", Mode)
def test_new_keys_are_a_new_bundle(pair: Pair, mode: Mode) -> None:
    alice, bob = sessions(pair, mode)
    exchange(alice, bob)
    before = keyings(alice)[0]
    bob.receive_offer(alice.create_offer(rekey=True))
    alice.receive_answer(bob.create_answer())
    after = keyings(alice)[0]
    assert after.bundle.csb_id != before.bundle.csb_id
    assert after.outbound != before.outbound
    assert_keyed(after, keyings(bob)[0])


def test_a_message_of_the_session_keys_all_its_secure_sections(pair: Pair) -> None:
    """As others offer it: one message at session level, two crypto sessions for each section (RFC 4567 7.1)."""
    _, method = methods(pair, Mode.PSK)
    proposal = Proposal(mode=Mode.PSK, streams=streams_of_media((1, 2)), sdp_ids=("mikey",))
    initiator = Initiator(proposal, pair.alice, pair.bob_to_alice())
    mikey = KeyMgmtAttribute("mikey", initiator.create_message(NOW)).serialize()
    sections = "".join(
        f"m=audio {port} RTP/{name} 0\r\n" for port, name in ((4000, "SAVP"), (4002, "AVP"), (4004, "SAVP"))
    )
    offer = SessionDescription.parse(f"{HEAD}a=key-mgmt:{mikey}\r\n{sections}")
    found, answers = [], set()
    for index in (0, 2):
        examined = method.receive_offer(RemoteSection(offer, index, offer.media[index]))
        assert examined.proposal is not None
        answer = examined.proposal.create_answer(LocalSection(index, "RTP/SAVP", "192.0.2.2", 4000))
        assert not answer.lines.media
        answers.add(answer.lines.session[0].value.split()[-1])
        found.append(answer.result)
    assert method.receive_offer(RemoteSection(offer, 1, offer.media[1])).proposal is None
    assert len(answers) == 1
    bundle = initiator.receive(KeyMgmtAttribute.parse(f"mikey {answers.pop()}").data, NOW)
    for line, result in enumerate(found):
        sending, receiving = bundle.media_sessions(line, initiator=True)
        assert (result.outbound, result.inbound) == (receiving.policy, sending.policy)
    again = SessionDescription.parse(f"{HEAD}a=key-mgmt:{mikey}\r\n{sections}")
    replayed = method.receive_offer(RemoteSection(again, 0, again.media[0]))
    assert replayed.proposal is None
    assert "before" in replayed.refusals[0].text


def test_forked_answers_are_read_one_by_one(pair: Pair) -> None:
    ours, theirs = methods(pair, Mode.DHHMAC)
    offer = ours.create_offer(LocalSection(0, "RTP/SAVP", "192.0.2.1", 4000))
    value = offer.lines.media[0].value
    text = f"{HEAD}m=audio 4000 RTP/SAVP 0\r\na={value}\r\n"
    keys = set()
    for _ in range(2):
        description = SessionDescription.parse(text)
        _, branch = methods(pair, Mode.DHHMAC)
        examined = branch.receive_offer(RemoteSection(description, 0, description.media[0]))
        assert examined.proposal is not None
        line = examined.proposal.create_answer(LocalSection(0, "RTP/SAVP", "192.0.2.2", 4000)).lines.media[0]
        answer = SessionDescription.parse(text.replace(value, line.value))
        result = offer.receive_answer(RemoteSection(answer, 0, answer.media[0]))
        assert result is not None
        assert result.outbound is not None
        keys.add(bytes(result.outbound.master_key))
    assert len(keys) == 2
    assert theirs.name == "mikey"


def test_what_is_refused_says_why(pair: Pair) -> None:
    """A wrong key, an answer without MIKEY, a damaged answer: no session comes about, and no key is in any text."""
    alice, _ = sessions(pair, Mode.PSK)
    stranger = methods(replace(pair, psk=SecretBytes(b"another key, of thirty-two bytes")), Mode.PSK)[1]
    bob = SessionNegotiation((local("192.0.2.2", stranger),))
    offer = alice.create_offer()
    with pytest.raises(NegotiationError) as caught:
        bob.receive_offer(offer)
    assert any("MAC does not verify" in one.text for one in caught.value.refusals)

    alice, bob = sessions(pair, Mode.PSK)
    bob.receive_offer(alice.create_offer())
    answer = bob.create_answer()
    start = answer.index("a=key-mgmt")
    end = answer.index("\r\n", start)
    for changed in (answer[:start] + answer[end + 2 :], answer[: end - 8] + "AAAAAAA=" + answer[end:]):
        with pytest.raises(NegotiationError):
            alice.receive_answer(changed)
    alice.receive_answer(answer)


def test_security_descriptions_may_stand_beside_it(pair: Pair) -> None:
    """Who knows MIKEY takes MIKEY when it is preferred; who does not takes the crypto line."""
    ours, theirs = methods(pair, Mode.PSK)
    for keying, method in (((theirs, Sdescriptions()), "mikey"), ((Sdescriptions(),), "sdescriptions")):
        alice = SessionNegotiation((local("192.0.2.1", ours, Sdescriptions()),))
        bob = SessionNegotiation((local("192.0.2.2", *keying),))
        exchange(alice, bob)
        assert alice.agreement is not None
        media = alice.agreement.media[0]
        assert media is not None
        assert media.keying is not None
        assert media.keying.method == method


def test_an_offer_that_cannot_be_made_is_an_error_with_status_and_warning(pair: Pair) -> None:
    nobody = Peer(uri_id("sip:carol@example.com"))
    method = MikeyKeying(
        Ourselves(pair.alice.identity), nobody, Proposal(mode=Mode.PSK, streams=()), replay_cache=ReplayCache()
    )
    with pytest.raises(KeyManagementError) as caught:
        method.create_offer(LocalSection(0, "RTP/SAVP", "192.0.2.1", 4000))
    assert (caught.value.status, caught.value.warning_code) == (488, 306)
