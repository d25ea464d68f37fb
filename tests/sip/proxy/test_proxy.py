"""The proxy by the clock: forwarding, ACK, CANCEL, failing hops, timers, and that nothing is left behind."""

from __future__ import annotations

import pytest
from proxy_stage import FakeFlow, Stage, make_request

from sip import SipUri
from sip.discovery.target import Target
from sip.message.parser import parse_message
from sip.proxy.events import Connect, Locate, ProxyTarget, Resolve
from sip.proxy.settings import ProxySettings


@pytest.fixture
def stage():
    return Stage()


def whats(sent):
    return [one.what for one in sent]


def test_a_call_goes_through_and_leaves_nothing(stage):
    stage.request(make_request(body=b"v=0\r\n", Max_Forwards="10", Date="malformed, but nobody's business"))
    [invite] = stage.take()
    assert invite.what == "INVITE"
    assert invite.flow.remote == ("192.0.2.99", 5060)
    assert invite.message.max_forwards == 9
    assert invite.message.headers.get("Max-Breadth") == "60"
    assert invite.message.headers.get("Date") == "malformed, but nobody's business"
    assert invite.message.body == b"v=0\r\n"
    assert len(invite.message.vias) == 2
    assert invite.message.top_via.sent_by == ("192.0.2.1", 5060)
    assert str(invite.message.record_routes[0].uri) == "sip:192.0.2.1:5060;lr"
    stage.answer(invite, 180)
    stage.answer(invite, 200)
    ringing, ok = stage.take()
    assert (ringing.what, ok.what) == (180, 200)
    assert ok.flow is stage.caller
    assert [via.branch for via in ok.message.vias] == ["z9hG4bKcaller"]
    assert ok.message.to.tag == "callee"
    ack = make_request("ACK", branch="z9hG4bKack", to_tag="callee", Route="<sip:192.0.2.1:5060;lr>")
    stage.request(ack)
    [ack] = stage.take()
    assert ack.what == "ACK"
    assert ack.flow.remote == ("192.0.2.99", 5060)
    assert "Route" not in ack.message.headers
    bye = make_request("BYE", branch="z9hG4bKbye", to_tag="callee", cseq=2, Route="<sip:192.0.2.1:5060;lr>")
    stage.request(bye)
    [bye] = stage.take()
    assert "Record-Route" not in bye.message.headers
    stage.answer(bye, 200)
    assert whats(stage.take()) == [200]
    stage.settle()
    assert stage.take() == []


def test_retransmissions_are_absorbed_and_answered(stage):
    invite = make_request()
    stage.request(invite)
    stage.request(invite)
    assert whats(stage.take()) == ["INVITE"]
    stage.pass_time(0.3)
    assert whats(stage.take()) == [100]  # 17.2.1: after 200 ms
    stage.request(invite)
    assert whats(stage.take()) == [100]
    stage.pass_time(3.3)
    assert [round(one.time - 1000, 1) for one in stage.take()] == [0.5, 1.5, 3.5]
    stage.pass_time(100)
    assert stage.take()[-1].what == 408
    stage.settle()


def test_no_100_where_an_answer_comes_in_200_ms(stage):
    stage.request(make_request())
    stage.pass_time(0.1)
    stage.answer(stage.take()[0], 200)
    stage.pass_time(10)
    assert whats(stage.take()) == [200]


def test_100_from_downstream_is_not_forwarded(stage):
    stage.request(make_request())
    stage.answer(stage.take()[0], 100, tag=None)
    assert stage.take() == []
    stage.pass_time(30)
    assert whats(stage.take()) == [100]  # our own, and no retransmission of the INVITE


def test_a_refusal_is_acknowledged_on_each_side(stage):
    stage.request(make_request())
    [invite] = stage.take()
    stage.answer(invite, 486)
    ack, busy = stage.take()
    assert (ack.what, busy.what) == ("ACK", 486)
    assert ack.message.top_via.branch == invite.message.top_via.branch
    stage.pass_time(0.6)
    assert whats(stage.take()) == [486]  # timer G
    stage.request(make_request("ACK", to_tag="callee"))
    stage.pass_time(10)
    assert stage.take() == []  # that ACK was for us
    stage.answer(invite, 486)
    assert whats(stage.take()) == ["ACK"]
    stage.settle()


def test_every_2xx_goes_up(stage):
    stage.request(make_request())
    [invite] = stage.take()
    for tag in ("one", "one", "two"):
        stage.answer(invite, 200, tag=tag)
    assert [one.message.to.tag for one in stage.take()] == ["one", "one", "two"]
    stage.settle()


def test_strays_are_dropped(stage):
    stage.request(make_request())
    [invite] = stage.take()
    stage.answer(invite, 200)
    stage.take()
    stage.settle()
    stage.answer(invite, 200)  # RFC 6026: after timer M
    assert stage.take() == []


def test_ack_with_the_branch_of_its_invite(stage):
    # As RFC 2543 clients and careless scenarios send it.
    stage.request(make_request())
    stage.answer(stage.take()[0], 200)
    stage.take()
    stage.request(make_request("ACK", to_tag="callee"))
    assert whats(stage.take()) == ["ACK"]
    stage.settle()


def test_a_response_with_our_via_only_goes_nowhere(stage):
    stage.request(make_request())
    [invite] = stage.take()
    response = invite.message.create_response(200)
    via = response.headers.get("Via")
    response.headers.set("Via", via)
    stage.run(stage.proxy.receive_response(parse_message(response.serialize()), stage.now))
    assert 200 not in whats(stage.take())
    stage.settle()


# CANCEL.


def test_cancel_waits_for_a_provisional_response(stage):
    stage.request(make_request())
    [invite] = stage.take()
    stage.request(make_request("CANCEL"))
    [ok] = stage.take()
    assert (ok.what, ok.message.cseq.method) == (200, "CANCEL")
    stage.answer(invite, 180)
    ringing, cancel = sorted(stage.take(), key=lambda one: str(one.what))
    assert (ringing.what, cancel.what) == (180, "CANCEL")
    assert cancel.message.headers.get("Via") == invite.message.headers.get("Via")
    assert cancel.message.uri == invite.message.uri
    stage.answer(cancel, 200)
    stage.answer(invite, 487)
    assert whats(stage.take()) == ["ACK", 487]
    stage.request(make_request("CANCEL"))
    assert whats(stage.take()) == [200]  # too late, but its INVITE is still known
    stage.request(make_request("ACK", to_tag="callee"))
    stage.settle()


def test_cancel_that_crosses_a_200(stage):
    stage.request(make_request())
    [invite] = stage.take()
    stage.answer(invite, 180)
    stage.take()
    stage.request(make_request("CANCEL"))
    _, cancel = stage.take()
    assert cancel.what == "CANCEL"
    stage.answer(invite, 200)
    assert whats(stage.take()) == [200]  # the call came about
    stage.answer(cancel, 481)
    assert stage.take() == []
    stage.settle()


def test_cancel_before_any_response_and_then_200(stage):
    stage.request(make_request())
    [invite] = stage.take()
    stage.request(make_request("CANCEL"))
    stage.answer(invite, 200)
    assert whats(stage.take()) == [200, 200]
    stage.settle()


@pytest.mark.parametrize("step", [Locate, Resolve, Connect])
def test_cancel_while_the_way_is_looked_for(stage, step):
    stage.locations["sip:bob@example.com"] = [ProxyTarget(SipUri.parse("sip:bob@192.0.2.99"))]
    stage.hold = (step,)
    stage.request(make_request(uri="sip:bob@example.com"))
    stage.request(make_request("CANCEL", uri="sip:bob@example.com"))
    assert whats(stage.take()) == [200, 487]
    stage.release()
    assert stage.take() == []
    stage.request(make_request("ACK", to_tag="x"))
    stage.settle()


def test_cancel_for_nothing(stage):
    stage.request(make_request("CANCEL"))
    assert whats(stage.take()) == [481]
    assert stage.proxy.active_transactions == 0


def test_cancelled_and_never_answered(stage):
    stage.request(make_request())
    [invite] = stage.take()
    stage.answer(invite, 180)
    stage.request(make_request("CANCEL"))
    cancel = stage.take()[-1]
    stage.answer(cancel, 200)
    stage.pass_time(32.1)
    assert whats(stage.take()) == [487]  # 9.1: given up after 64*T1
    stage.request(make_request("ACK", to_tag="x"))
    stage.settle()


# Timer C and RFC 4320.


def test_timer_c_cancels_a_call_that_rings_on(stage):
    stage.request(make_request())
    [invite] = stage.take()
    stage.answer(invite, 180)
    stage.pass_time(150)
    stage.answer(invite, 183)
    stage.take()
    stage.pass_time(190)
    assert stage.take() == []  # the 183 started it anew
    stage.pass_time(10.2)
    [cancel] = stage.take()
    assert cancel.what == "CANCEL"
    stage.answer(invite, 487)
    assert whats(stage.take()) == ["ACK", 487]
    stage.request(make_request("ACK", to_tag="callee"))
    stage.settle()


def test_100_for_others_than_invite_comes_when_timer_e_reaches_t2(stage):
    stage.request(make_request("OPTIONS"))
    stage.take()
    stage.pass_time(3.4)
    assert 100 not in whats(stage.take())
    stage.pass_time(0.2)
    assert 100 in whats(stage.take())
    stage.settle()


def test_no_408_for_others_than_invite(stage):
    stage.request(make_request("MESSAGE"))
    stage.pass_time(100)
    assert set(whats(stage.take())) == {"MESSAGE", 100}
    stage.settle()


def test_no_other_provisional_response_but_to_invite(stage):
    stage.request(make_request("BYE", to_tag="x"))
    stage.answer(stage.take()[0], 183)
    assert stage.take() == []
    stage.settle()


# Hops.


def hops(*hosts):
    return [Target("udp", host, 5060, host) for host in hosts]


def test_a_connection_without_an_answer_is_distrusted(stage):
    """It may be half-open, and would make every request after this one wait as long."""
    stage.request(make_request(uri="sip:bob@192.0.2.99;transport=tcp"))
    [sent] = stage.take()
    stage.pass_time(32.5)
    assert stage.distrusted == [sent.flow]
    stage.request(make_request(branch="z9hG4bKother", cseq=2))
    stage.pass_time(32.5)
    assert stage.distrusted == [sent.flow]  # nothing of the kind by UDP
    stage.settle()


def test_next_hop_after_a_timeout(stage):
    stage.servers["far.example"] = hops("192.0.2.10", "192.0.2.11")
    stage.request(make_request(uri="sip:bob@far.example"))
    [first] = stage.take()
    stage.pass_time(32.5)
    second = stage.take()[-1]
    assert second.flow.remote[0] == "192.0.2.11"
    assert second.message.top_via.branch != first.message.top_via.branch
    stage.answer(second, 200)
    assert whats(stage.take()) == [200]
    stage.settle()


def test_next_hop_after_503_and_500_when_all_are(stage):
    stage.servers["far.example"] = hops("192.0.2.10", "192.0.2.11")
    stage.request(make_request(uri="sip:bob@far.example"))
    stage.answer(stage.take()[0], 503)
    ack, second = stage.take()
    assert (ack.what, second.what) == ("ACK", "INVITE")
    stage.answer(second, 503)
    assert whats(stage.take()) == ["ACK", 500]
    stage.request(make_request("ACK", to_tag="x"))
    stage.settle()


def test_unreachable_hops(stage):
    stage.servers["far.example"] = hops("192.0.2.10", "192.0.2.11")
    stage.down.add(stage.servers["far.example"][0])
    stage.request(make_request("OPTIONS", uri="sip:bob@far.example"))
    assert whats(stage.take()) == ["OPTIONS"]
    stage.down.update(stage.servers["far.example"])
    stage.request(make_request("OPTIONS", uri="sip:bob@far.example", branch="z9hG4bK2"))
    assert whats(stage.take()) == [500]
    stage.settle()


def test_a_lost_connection_fails_what_waits_on_it(stage):
    stage.request(make_request(uri="sip:bob@192.0.2.99;transport=tcp"))
    [invite] = stage.take()
    stage.run(stage.proxy.flow_lost(invite.flow, stage.now))
    assert whats(stage.take()) == [500]
    stage.request(make_request("ACK", to_tag="x"))
    stage.settle()


def test_send_failures_fail_over(stage):
    stage.servers["far.example"] = hops("192.0.2.10", "192.0.2.11")
    events = stage.proxy.receive_request(
        parse_message(make_request(uri="sip:bob@far.example").serialize()), stage.caller, stage.now
    )
    [resolve] = events
    [connect] = stage.proxy.resolved(resolve.branch, hops("192.0.2.10", "192.0.2.11"), stage.now)
    [send] = stage.proxy.connected(connect.branch, FakeFlow("udp", ("192.0.2.10", 5060)), stage.now)
    stage.run(stage.proxy.send_failed(send.sender, stage.now))
    [second] = stage.take()
    assert second.flow.remote[0] == "192.0.2.11"
    stage.settle()


def test_large_requests_move_to_tcp_and_back_where_there_is_none(stage):
    big = {"body": b"x" * 1400}
    stage.request(make_request("MESSAGE", **big))
    [sent] = stage.take()
    assert sent.flow.transport == "tcp"
    assert sent.message.top_via.transport == "TCP"
    stage.down.add(Target("tcp", "192.0.2.99", 5060, "192.0.2.99"))
    stage.request(make_request("MESSAGE", branch="z9hG4bK2", **big))
    [sent] = stage.take()
    assert sent.flow.transport == "udp"
    stage.settle()


def test_sips_never_leaves_tls(stage):
    stage.request(make_request(uri="sips:bob@far.example"), FakeFlow("tls", ("192.0.2.50", 5061)))
    [sent] = stage.take()
    assert sent.flow.transport == "tls"
    assert str(sent.message.record_routes[0].uri).startswith("sips:")
    stage.servers["far.example"] = hops("192.0.2.10")
    stage.request(make_request(uri="sips:bob@far.example", branch="z9hG4bK2"))
    assert whats(stage.take()) == [500]
    stage.settle()


# Responses upstream.


def test_responses_go_where_the_via_says(stage):
    request = make_request("OPTIONS", via="SIP/2.0/UDP 10.0.0.1:5070")
    stage.request(request, FakeFlow("udp", ("192.0.2.50", 4444)))
    [sent] = stage.take()
    assert sent.message.vias[1].parameter("received") == "192.0.2.50"
    stage.answer(sent, 200)
    [ok] = stage.take()
    assert ok.address == ("192.0.2.50", 5070)
    request = make_request("OPTIONS", via="SIP/2.0/UDP 10.0.0.1:5070;rport", branch="z9hG4bK2")
    stage.request(request, FakeFlow("udp", ("192.0.2.50", 4444)))
    [sent] = stage.take()
    assert sent.message.vias[1].parameter("rport") == "4444"
    stage.answer(sent, 200)
    [ok] = stage.take()
    assert ok.address is None
    assert ok.flow.remote == ("192.0.2.50", 4444)
    stage.settle()


@pytest.mark.parametrize("settings", [ProxySettings(), ProxySettings(record_route=False)])
def test_record_route_is_a_choice(settings):
    stage = Stage(settings=settings)
    stage.request(make_request())
    [sent] = stage.take()
    assert ("Record-Route" in sent.message.headers) is settings.record_route
