"""What a proxy keeps of a call: little while its transactions linger, nothing afterwards, and never in cycles."""

from __future__ import annotations

import gc

import pytest
from proxy_stage import Stage, make_request

from sip import Request, Response, SipUri
from sip.discovery.target import Target
from sip.message.headers import Headers
from sip.proxy.events import ProxyTarget
from sip.proxy.exchange import ClientExchange, ServerExchange
from sip.proxy.response_context import Branch, ResponseContext
from sip.transaction.client import ClientTransaction
from sip.transaction.server import ServerTransaction

KEPT = (ResponseContext, Branch, ClientExchange, ServerExchange, ClientTransaction, ServerTransaction)


def answered(stage):
    stage.request(make_request(body=bytes(500)))
    [invite] = stage.take()
    stage.answer(invite, 180)
    stage.answer(invite, 200)
    stage.request(make_request("ACK", branch="z9hG4bKack", to_tag="callee"))
    stage.request(make_request("BYE", branch="z9hG4bKbye", to_tag="callee", cseq=2))
    stage.answer(stage.take()[-1], 200)


def refused(stage):
    stage.request(make_request())
    stage.answer(stage.take()[0], 486)
    stage.request(make_request("ACK", to_tag="callee"))


def failed_over(stage):
    stage.servers["192.0.2.99"] = [Target("udp", f"192.0.2.{number}", 5060, "") for number in (98, 99)]
    stage.request(make_request())
    stage.answer(stage.take()[0], 503)
    stage.answer(stage.take()[-1], 200)


def cancelled(stage):
    stage.request(make_request())
    [invite] = stage.take()
    stage.answer(invite, 180)
    stage.request(make_request("CANCEL"))
    stage.answer(stage.take()[-1], 200)
    stage.answer(invite, 487)
    stage.request(make_request("ACK", to_tag="callee"))


def forked(stage):
    stage.locations["sip:bob@example.com"] = [ProxyTarget(SipUri.parse(f"sip:192.0.2.{one}")) for one in (10, 11)]
    stage.request(make_request("INVITE", "sip:bob@example.com"))
    one, other = stage.take()
    stage.answer(one, 180)
    stage.answer(other, 200)
    stage.answer(one, 487)


def timed_out(stage):
    stage.request(make_request("OPTIONS"))
    stage.pass_time(40)


def reachable(start, *kinds):
    """Returns what the proxy holds of some types."""
    seen, open_ones, found = set(), [start], []
    while open_ones:
        one = open_ones.pop()
        if id(one) in seen or isinstance(one, type):
            continue
        seen.add(id(one))
        if isinstance(one, kinds):
            found.append(one)
        if not callable(one) or one is start:
            open_ones += gc.get_referents(one)
    return found


@pytest.mark.parametrize("call", [answered, refused, failed_over, cancelled, forked, timed_out])
def test_nothing_of_a_call_waits_for_the_garbage_collector(call):
    stage = Stage()
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(one, KEPT) for one in gc.get_objects())
        stage.request(make_request(branch="z9hG4bKanother"))
        assert sum(isinstance(one, KEPT) for one in gc.get_objects()) == before + 6  # or this would see nothing
        stage.answer(stage.take()[0], 500)
        stage.take()
        call(stage)
        stage.settle()
        assert sum(isinstance(one, KEPT) for one in gc.get_objects()) == before
    finally:
        gc.enable()


def test_messages_are_let_go_with_the_answer():
    stage = Stage()
    stage.request(make_request(body=bytes(500)))
    assert reachable(stage.proxy, Request, Headers, ResponseContext)  # or the test would see nothing
    stage.settle()
    stage.take()
    answered(stage)
    assert stage.proxy.active_transactions == 4
    assert reachable(stage.proxy, ServerExchange)
    assert reachable(stage.proxy, Request, Response, Headers, ResponseContext, Branch) == []


def test_what_is_left_still_answers_and_passes_on():
    stage = Stage()
    stage.request(make_request())
    [invite] = stage.take()
    stage.answer(invite, 200)
    stage.request(make_request("BYE", branch="z9hG4bKbye", to_tag="callee", cseq=2))
    bye = stage.take()[-1]
    stage.answer(bye, 200)
    [ok] = stage.take()
    stage.answer(invite, 200, tag="other")
    [late] = stage.take()
    assert (late.what, late.message.to.tag) == (200, "other")
    stage.answer(invite, 486)
    stage.request(make_request())
    assert stage.take() == []
    stage.request(make_request("BYE", branch="z9hG4bKbye", to_tag="callee", cseq=2))
    [again] = stage.take()
    assert again.message == ok.message
    stage.settle()
