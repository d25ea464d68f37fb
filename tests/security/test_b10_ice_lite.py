"""One STUN transaction counts for one source, and who is selected by a copy has to go on checking."""

from __future__ import annotations

import pytest

from sdp.ice.attributes import IceCredentials
from sdp.ice.lite import SILENCE, IceLite, PeerValidated
from sdp.ice.stun import StunAttribute, StunClass, StunMessage
from sdp.ice.stun_transactions import MAX_TRANSACTIONS

PASSWORD = "p" * 22
PEER, STRANGER = ("192.0.2.7", 7000), ("198.51.100.66", 6666)


class Stage:
    """An agent whose clock a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        credentials = IceCredentials("ours", PASSWORD)
        self.agent = IceLite((("192.0.2.1", 5000),), credentials, clock=lambda: self.now)

    def check(self, *, nominates: bool = False) -> bytes:
        attributes = [(int(StunAttribute.USERNAME), b"ours:theirs"), (int(StunAttribute.PRIORITY), bytes(4))]
        if nominates:
            attributes.append((int(StunAttribute.USE_CANDIDATE), b""))
        return StunMessage(StunClass.REQUEST, attributes=tuple(attributes)).serialize(PASSWORD.encode())

    def take(self, data: bytes, source: tuple[str, int]) -> PeerValidated | None:
        reply = self.agent.receive_datagram(data, source)
        assert reply.datagram is not None
        assert StunMessage.parse(reply.datagram).message_class is StunClass.SUCCESS
        return reply.event


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.mark.parametrize("nominates", [False, True])
@pytest.mark.parametrize("later", [0.0, 100.0])
def test_a_copy_from_elsewhere_takes_nothing(stage: Stage, nominates: bool, later: float) -> None:
    caught = stage.check(nominates=nominates)
    stage.take(caught, PEER)
    stage.take(stage.check(nominates=True), PEER)
    stage.now += later
    stage.take(stage.check(), PEER)
    assert stage.take(caught, STRANGER) is None
    assert stage.agent.selected == PEER
    assert stage.agent.validated == (PEER,)


def test_a_retransmission_is_answered_again(stage: Stage) -> None:
    check = stage.check(nominates=True)
    assert stage.take(check, PEER) == PeerValidated(PEER, True)
    assert stage.take(check, PEER) is None
    assert stage.agent.selected == PEER


def test_a_copy_that_outran_it_loses_to_the_next_nomination(stage: Stage) -> None:
    caught = stage.check(nominates=True)
    assert stage.take(caught, STRANGER) == PeerValidated(STRANGER, True)
    assert stage.take(caught, PEER) is None
    assert stage.take(stage.check(nominates=True), PEER) == PeerValidated(PEER, True)
    assert stage.agent.selected == PEER


def test_who_falls_silent_loses_to_who_still_checks(stage: Stage) -> None:
    """A peer that nominated once, and then only checks for consent, has its place back."""
    stage.take(stage.check(nominates=True), STRANGER)
    stage.take(stage.check(), PEER)
    while stage.agent.selected == STRANGER:
        stage.now += 5.0
        event = stage.take(stage.check(), PEER)
        assert stage.now <= 1000.0 + SILENCE
    assert event == PeerValidated(PEER, True)
    assert stage.agent.selected == PEER
    assert stage.now == 1000.0 + SILENCE


def test_who_goes_on_checking_keeps_it(stage: Stage) -> None:
    stage.take(stage.check(nominates=True), PEER)
    for _ in range(100):
        stage.now += 5.0
        stage.take(stage.check(), PEER)
        stage.take(stage.check(), ("192.0.2.7", 7001))
    assert stage.agent.selected == PEER


def test_transactions_are_bounded_and_the_bound_fails_closed(stage: Stage) -> None:
    """What is no longer known could be a copy: it takes nothing while the selected address checks."""
    caught = stage.check(nominates=True)
    stage.take(caught, PEER)
    for _ in range(2 * MAX_TRANSACTIONS):
        stage.take(stage.check(), PEER)
    stage.take(caught, STRANGER)
    assert stage.agent.selected == PEER
    stage.now += SILENCE
    stage.take(stage.check(nominates=True), ("192.0.2.7", 7001))
    assert stage.agent.selected == ("192.0.2.7", 7001)


def test_the_selected_address_is_not_pushed_out(stage: Stage) -> None:
    stage.take(stage.check(nominates=True), PEER)
    for port in range(1, 200):
        stage.take(stage.check(), ("192.0.2.9", port))
    assert PEER in stage.agent.validated
    assert len(stage.agent.validated) == 64
    assert stage.agent.selected == PEER
