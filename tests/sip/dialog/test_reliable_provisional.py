"""Reliable provisional responses (RFC 3262): both sides, over a way that loses and repeats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip import CSeq, Headers, Request, Response, SipParseError, SipUri, Timers
from sip.dialog.reliable_provisional import RAck, ReliableReceiver, ReliableSender, rseq_of

TIMERS = Timers()


def progress(status=183):
    return Response(status, "", Headers([("CSeq", "7 INVITE")]))


def prack(rack):
    request = Request("PRACK", SipUri.parse("sip:bob@example.com"))
    request.headers.add("RAck", str(rack))
    return request


def test_one_at_a_time_and_in_order():
    sender, receiver = ReliableSender(first=776656), ReliableReceiver()
    first, second = progress(180), progress()
    assert sender.send(first, 0.0) == [first]
    assert sender.send(second, 0.1) == []
    rack = receiver.receive(first)
    assert str(rack) == "776656 7 INVITE"  # RFC 3262 7.2's own
    assert receiver.receive(first) is None
    assert sender.acknowledge(prack(rack), 0.2) == (200, [second])
    assert receiver.receive(second) == RAck(776657, CSeq(7, "INVITE"))


@pytest.mark.parametrize("rack", ["2 7 INVITE", "1 8 INVITE", "1 7 UPDATE"])
def test_a_prack_of_nothing_that_waits_is_481(rack):
    sender = ReliableSender(first=1)
    sender.send(progress(), 0.0)
    assert sender.acknowledge(prack(rack), 0.1) == (481, [])
    assert sender.pending is not None


@pytest.mark.parametrize("rack", ["", "1", "x 7 INVITE", "4294967296 7 INVITE", "-1 7 INVITE", "1 7"])
def test_a_rack_that_cannot_be_read(rack):
    sender = ReliableSender(first=1)
    sender.send(progress(), 0.0)
    with pytest.raises(SipParseError):
        sender.acknowledge(prack(rack), 0.1)
    assert sender.pending is not None


def test_repeated_with_doubling_and_given_up_after_64_t1():
    sender = ReliableSender(timers=TIMERS)
    sender.send(progress(), 0.0)
    times = []
    while (now := sender.next_timer()) is not None:
        times += [now] * len(sender.handle_timer(now))
    assert times == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert sender.failed
    assert sender.pending is None


def test_only_what_requires_100rel_is_acknowledged():
    plain = progress()
    plain.headers.add("RSeq", "1")
    assert rseq_of(plain) is None
    assert ReliableReceiver().receive(plain) is None
    trying = Response(100, "", Headers([("Require", "100rel"), ("RSeq", "1")]))
    assert rseq_of(trying) is None
    unnumbered = progress()
    unnumbered.headers.add("Require", "100rel")
    with pytest.raises(SipParseError):
        rseq_of(unnumbered)


@given(st.lists(st.booleans(), max_size=20), st.integers(1, 5))
def test_what_a_lossy_way_lets_through_arrives_once_and_in_order(losses, count):
    sender, receiver, fate = ReliableSender(first=1), ReliableReceiver(), iter(losses)
    sent, taken, now, seen = [progress() for _ in range(count)], [], 0.0, {}
    wire = [one for response in sent for one in sender.send(response, now)]
    while not sender.failed and (wire or sender.pending is not None):
        for response in wire:
            wire = []
            if next(fate, False):
                continue
            rack = receiver.receive(response)
            if rack is not None:
                taken.append(response)
                seen[id(response)] = rack
            # A repetition is acknowledged by the PRACK's own transaction, which goes on.
            if not next(fate, False):
                status, wire = sender.acknowledge(prack(seen[id(response)]), now)
                assert status == 200
        if not wire and (due := sender.next_timer()) is not None:
            now = due
            wire = sender.handle_timer(now)
    assert taken == sent[: len(taken)]
    assert sender.failed or len(taken) == count
