"""Routes, refusals and limits of the proxy (RFC 3261 16.3 to 16.6, RFC 5393, RFC 5658, RFC 5626)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proxy_stage import IDENTITY, FakeFlow, Stage, make_request

from sip import NameAddr, Request, SipUri, parse_message
from sip.proxy.events import ProxyTarget
from sip.proxy.routing import take_in_routes
from sip.proxy.settings import ProxySettings
from sip.proxy.validation import loop_part
from sip.transaction.load_limits import LoadLimits

OURS = "<sip:192.0.2.1:5060;lr>"
BOB = "sip:bob@192.0.2.99"


@pytest.fixture
def stage():
    return Stage()


def sent_for(stage, *args, flow=None, **more):
    stage.request(make_request(*args, **more), flow)
    return stage.take()


def routes_of(sent):
    return [str(one) for one in sent.message.routes]


# Refusals.


def test_no_hops_left(stage):
    assert [one.what for one in sent_for(stage, "MESSAGE", Max_Forwards="0")] == [483]
    assert [one.what for one in sent_for(stage, "MESSAGE", Max_Forwards="0000", branch="z9hG4bK2")] == [483]
    assert [one.what for one in sent_for(stage, "OPTIONS", Max_Forwards="0", branch="z9hG4bK3")] == [200]
    assert sent_for(stage, "ACK", Max_Forwards="0", branch="z9hG4bK4") == []
    stage.settle()


def test_hops_are_counted_down_and_begun(stage):
    [sent] = sent_for(stage, "MESSAGE", Max_Forwards="1")
    assert sent.message.max_forwards == 0
    [sent] = sent_for(stage, "MESSAGE", branch="z9hG4bK2")
    assert sent.message.max_forwards == 70


def test_what_the_sender_wants_of_proxies(stage):
    [refusal] = sent_for(stage, "MESSAGE", Proxy_Require="foo, bar")
    assert refusal.what == 420
    assert refusal.message.headers.get("Unsupported") == "foo, bar"
    able = Stage(settings=ProxySettings(proxy_require=frozenset(("foo", "bar"))))
    assert [one.what for one in sent_for(able, "MESSAGE", Proxy_Require="foo, bar")] == ["MESSAGE"]


def test_unknown_schemes(stage):
    request = make_request("MESSAGE")
    text = request.serialize().replace(b"MESSAGE sip:bob@192.0.2.99", b"MESSAGE nobody:knows.this")
    stage.run(stage.proxy.receive_request(parse_message(text), stage.caller, stage.now))
    assert [one.what for one in stage.take()] == [416]
    stage.settle()


def test_unknown_methods_are_forwarded(stage):
    [sent] = sent_for(stage, "NOVEL")
    assert sent.what == "NOVEL"
    assert "Record-Route" in sent.message.headers  # 16.6 step 4: it may make a dialog


def returned(stage, sent, **changes):
    """What a neighbour sends back to us of a request that we sent."""
    request = Request(sent.message.method, changes.pop("uri", sent.message.uri), sent.message.headers.copy())
    request.headers.prepend("Via", "SIP/2.0/UDP 192.0.2.60;branch=z9hG4bKneighbour")
    for name, value in changes.items():
        request.headers.set(name, value)
    stage.request(request, FakeFlow("udp", ("192.0.2.60", 5060)))
    return stage.take()


def test_a_loop_is_482_and_a_spiral_is_not(stage):
    stage.locations["sip:bob@example.com"] = [ProxyTarget(SipUri.parse("sip:bob@192.0.2.60"))]
    stage.locations["sip:carol@example.com"] = [ProxyTarget(SipUri.parse("sip:carol@192.0.2.61"))]
    [sent] = sent_for(stage, "MESSAGE", "sip:bob@example.com")
    [answer] = returned(stage, sent, uri=SipUri.parse("sip:bob@example.com"))
    assert answer.what == 482
    [spiral] = returned(stage, sent, uri=SipUri.parse("sip:carol@example.com"), Via="SIP/2.0/UDP 192.0.2.60;branch=z9")
    assert spiral.what == "MESSAGE"
    stage.settle()


def test_a_loop_part_of_somebody_else_is_no_loop(stage):
    [sent] = sent_for(stage, "MESSAGE")
    branch = sent.message.top_via.branch
    [other] = sent_for(
        stage, "MESSAGE", branch="z9hG4bK5", Via=f"SIP/2.0/UDP 198.51.100.1;branch={branch}", Subject="again"
    )
    assert other.what == "MESSAGE"


def test_the_loop_part_is_the_same_for_an_invite_and_its_cancel_and_ack():
    parts = {loop_part(make_request(method), IDENTITY) for method in ("INVITE", "ACK", "CANCEL")}
    assert len(parts) == 1
    others = [
        make_request("INVITE", "sip:carol@example.com"),
        make_request("INVITE", cseq=2),
        make_request("INVITE", to_tag="x"),
        make_request("INVITE", Route=OURS),
        make_request("INVITE", Proxy_Require="x"),
        make_request("INVITE", Proxy_Authorization="Digest x=y"),
    ]
    assert len(parts | {loop_part(one, IDENTITY) for one in others}) == 7


def test_merged_requests_are_no_error_for_a_proxy(stage):
    # 16.3: "MUST NOT treat merged requests as an error condition"; who gets them answers 482.
    [one] = sent_for(stage, "MESSAGE", branch="z9hG4bK1")
    [two] = sent_for(stage, "MESSAGE", branch="z9hG4bK2")
    assert (one.what, two.what) == ("MESSAGE", "MESSAGE")


# Routes taken in.


def test_our_route_goes_and_the_next_decides(stage):
    [sent] = sent_for(stage, "MESSAGE", Route=f"{OURS}, <sip:192.0.2.7;lr>, <sip:192.0.2.8;lr>")
    assert sent.flow.remote == ("192.0.2.7", 5060)
    assert routes_of(sent) == ["<sip:192.0.2.7;lr>", "<sip:192.0.2.8;lr>"]
    assert str(sent.message.uri) == BOB


@pytest.mark.parametrize(
    "route", ["<sip:example.com;lr>", "<sip:192.0.2.1;lr>", "<sip:proxy.example.com:5061;transport=tls;lr>"]
)
def test_our_route_by_any_name(stage, route):
    [sent] = sent_for(stage, "MESSAGE", Route=route)
    assert "Route" not in sent.message.headers
    assert sent.flow.remote[0] == "192.0.2.99"


def test_a_route_to_our_address_on_another_port_is_not_ours(stage):
    [sent] = sent_for(stage, "MESSAGE", Route="<sip:192.0.2.1:5999;lr>")
    assert sent.flow.remote == ("192.0.2.1", 5999)


def test_a_strict_router_before_us(stage):
    # 16.12.1.2: it put our Record-Route into the Request-URI, and the target at the end of the Routes.
    [sent] = sent_for(stage, "BYE", "sip:192.0.2.1:5060;lr", to_tag="x", Route=f"<sip:192.0.2.7;lr>, <{BOB}>")
    assert str(sent.message.uri) == BOB
    assert routes_of(sent) == ["<sip:192.0.2.7;lr>"]
    assert sent.flow.remote[0] == "192.0.2.7"
    [sent] = sent_for(stage, "BYE", "sip:192.0.2.1:5060;lr", to_tag="x", Route=f"<{BOB}>", branch="z9hG4bK2")
    assert str(sent.message.uri) == BOB
    assert "Route" not in sent.message.headers


def test_a_strict_router_behind_us(stage):
    [sent] = sent_for(stage, "BYE", to_tag="x", Route=f"{OURS}, <sip:192.0.2.7;transport=udp>, <sip:192.0.2.8;lr>")
    assert str(sent.message.uri) == "sip:192.0.2.7;transport=udp"
    assert routes_of(sent) == ["<sip:192.0.2.8;lr>", f"<{BOB}>"]
    assert sent.flow.remote[0] == "192.0.2.7"


def test_the_two_strict_rewrites_undo_each_other():
    request = make_request("BYE", Route="<sip:192.0.2.1:5060;lr>, <sip:192.0.2.8;lr>")
    first = NameAddr.parse("<sip:192.0.2.1:5060;lr>").uri
    request.uri, values = first, ["<sip:192.0.2.8;lr>", f"<{BOB}>"]
    request.headers.remove("Route")
    for value in values:
        request.headers.add("Route", value)
    take_in_routes(request, IDENTITY)
    assert str(request.uri) == BOB
    assert [str(one) for one in request.routes] == ["<sip:192.0.2.8;lr>"]


def test_maddr_of_ours_is_stripped(stage):
    stage.locations["sip:bob@example.com"] = [ProxyTarget(SipUri.parse(BOB))]
    [sent] = sent_for(stage, "MESSAGE", "sip:bob@example.com;maddr=192.0.2.1")
    assert str(sent.message.uri) == BOB
    [sent] = sent_for(stage, "MESSAGE", "sip:bob@example.com;maddr=192.0.2.55", branch="z9hG4bK2")
    assert sent.flow.remote[0] == "192.0.2.55"
    assert str(sent.message.uri) == "sip:bob@example.com;maddr=192.0.2.55"


def test_what_is_for_us(stage):
    assert [one.what for one in sent_for(stage, "OPTIONS", "sip:example.com")] == [200]
    assert sent_for(stage, "REGISTER", "sip:example.com", branch="z9hG4bK2") == []
    [asked] = stage.served
    stage.run(stage.proxy.respond(asked.exchange, asked.request.create_response(200), stage.now))
    assert [one.what for one in stage.take()] == [200]
    stage.settle()


# Recording.


def test_one_record_route_where_both_sides_are_alike(stage):
    [sent] = sent_for(stage, "INVITE", Record_Route="<sip:192.0.2.3;lr>")
    assert [str(one) for one in sent.message.record_routes] == [OURS, "<sip:192.0.2.3;lr>"]


def test_two_where_the_transport_changes(stage):
    [sent] = sent_for(stage, "INVITE", f"{BOB};transport=tcp")
    assert [str(one) for one in sent.message.record_routes] == ["<sip:192.0.2.1:5060;transport=tcp;lr>", OURS]
    # And both go again, from whichever side a request comes.
    for number, values in enumerate((("<sip:192.0.2.1:5060;transport=tcp;lr>", OURS), (OURS,) * 2)):
        [bye] = sent_for(stage, "BYE", to_tag="x", Route=", ".join(values), branch=f"z9hG4bK{number}", cseq=number + 2)
        assert "Route" not in bye.message.headers


def test_a_caller_that_is_only_reached_by_its_connection(stage):
    caller = FakeFlow("tls", ("192.0.2.50", 40000))
    stage.tokens["caller"] = caller
    [sent] = sent_for(stage, "INVITE", flow=caller, via="SIP/2.0/TLS 192.0.2.50:40000")
    above, below = [str(one) for one in sent.message.record_routes]
    assert (above, below) == (OURS, "<sip:caller@proxy.example.com:5061;transport=tls;lr>")
    # The callee's BYE goes down that connection, the caller's does not come back.
    bye = {"to_tag": "x", "cseq": 2}
    [sent] = sent_for(stage, "BYE", "sip:alice@192.0.2.50:40000", Route=f"{above}, {below}", branch="z9hG4bK2", **bye)
    assert sent.flow is caller
    [sent] = sent_for(stage, "BYE", flow=caller, Route=f"{below}, {above}", branch="z9hG4bK3", **bye)
    assert sent.flow.remote[0] == "192.0.2.99"
    [sent] = sent_for(stage, "BYE", flow=caller, Route=below, branch="z9hG4bK4", **bye)
    assert sent.flow.remote[0] == "192.0.2.99"


def test_a_neighbour_is_not_held_to_its_connection(stage):
    neighbour = FakeFlow("tls", ("192.0.2.50", 40000))
    stage.tokens["neighbour"] = neighbour
    [sent] = sent_for(stage, "INVITE", flow=neighbour, Via="SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKua")
    assert all(one.uri.user is None for one in sent.message.record_routes)


def test_sips_that_did_not_come_by_tls_is_recorded_whatever_is_set():
    stage = Stage(settings=ProxySettings(record_route=False))
    [sent] = sent_for(stage, "INVITE", "sips:bob@far.example")
    assert [one.uri.scheme for one in sent.message.record_routes] == ["sips", "sips"]


# Limits.


def test_new_requests_are_shed_before_those_in_dialogs():
    stage = Stage(limits=LoadLimits(transactions=10, shed_at=0.5, retry_after=7))
    for number in range(5):
        assert sent_for(stage, "INVITE", branch=f"z9hG4bK{number}")[0].what == "INVITE"
    [refusal] = sent_for(stage, "INVITE", branch="z9hG4bKx")
    assert (refusal.what, refusal.message.headers.get("Retry-After")) == (503, "7")
    for number in range(5, 10):
        assert sent_for(stage, "BYE", to_tag="x", branch=f"z9hG4bK{number}")[0].what == "BYE"
    assert sent_for(stage, "BYE", to_tag="x", branch="z9hG4bKy")[0].what == 503
    assert sent_for(stage, "CANCEL", branch="z9hG4bK0")[0].what == 200  # relieves, and keeps nothing
    assert sent_for(stage, "ACK", to_tag="x", branch="z9hG4bKz")[0].what == "ACK"
    assert stage.proxy.admission.refused == 2
    stage.settle()


def test_one_source_cannot_take_it_all():
    stage = Stage(limits=LoadLimits(source_transactions=2, shed_at=1.0))
    greedy, modest = FakeFlow("udp", ("192.0.2.50", 5060)), FakeFlow("udp", ("192.0.2.51", 5060))
    found = [sent_for(stage, "MESSAGE", branch=f"z9hG4bK{n}", flow=greedy)[0].what for n in range(3)]
    assert found == ["MESSAGE", "MESSAGE", 503]
    assert sent_for(stage, "MESSAGE", branch="z9hG4bK9", flow=modest)[0].what == "MESSAGE"
    stage.settle()
    assert sent_for(stage, "MESSAGE", branch="z9hG4bK3", flow=greedy)[-1].what == "MESSAGE"


def test_running_late_sheds():
    stage = Stage()
    stage.proxy.admission.lag = 2.0
    assert sent_for(stage, "INVITE")[0].what == 503
    assert sent_for(stage, "BYE", to_tag="x")[0].what == "BYE"


# Whatever comes in, nothing stays.

_METHODS = st.sampled_from(["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "MESSAGE"])
_STEPS = st.one_of(
    st.tuples(st.just("request"), _METHODS, st.integers(0, 3)),
    st.tuples(st.just("answer"), st.sampled_from([100, 180, 200, 302, 401, 486, 503, 603]), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 20.0, 190.0]), st.just(0)),
    st.tuples(st.just("lost"), st.just(0), st.integers(0, 5)),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(_STEPS, max_size=25))
def test_nothing_is_left_behind_whatever_happens(steps):
    stage = Stage()
    stage.locations["sip:bob@example.com"] = [
        ProxyTarget(SipUri.parse("sip:bob@192.0.2.10")),
        ProxyTarget(SipUri.parse("sip:bob@192.0.2.11;transport=tcp")),
        ProxyTarget(SipUri.parse("sip:bob@192.0.2.12"), 500),
    ]
    requests = []
    for kind, what, number in steps:
        if kind == "request":
            stage.request(make_request(what, "sip:bob@example.com", branch=f"z9hG4bK{number}"))
        elif kind == "wait":
            stage.pass_time(what)
        elif requests and kind == "answer":
            stage.answer(requests[number % len(requests)], what)
        elif requests:
            stage.run(stage.proxy.flow_lost(requests[number % len(requests)].flow, stage.now))
        requests += [
            one for one in stage.take() if isinstance(one.message, Request) and one.what not in ("ACK", "CANCEL")
        ]
    stage.settle()
