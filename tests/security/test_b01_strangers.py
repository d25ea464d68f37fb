"""What a stranger's requests reach through a proxy that does not relay: our users, and nobody else."""

from __future__ import annotations

import pytest
from guarded_stage import ALICE, BOB, PHONE, STRANGER, VICTIM, Guarded, as_alice, stranger_request
from proxy_stage import FakeFlow, Stage

from sip import NameAddr, SipUri, parse_message
from sip.discovery.target import Target
from sip.proxy.events import ProxyTarget
from sip.proxy.settings import ProxySettings

V = f"{VICTIM[0]}:{VICTIM[1]}"
OURS = "<sip:192.0.2.1:5060;lr>"
# What leads elsewhere: a Request-URI, and a Route.
ELSEWHERE = [
    (f"sip:x@{V}", None),
    (f"sip:x@{V};transport=tcp", None),
    (f"sip:x@{V}", OURS),
    (f"sip:bob@example.com:5999;maddr={VICTIM[0]}", None),
    (f"sip:bob@example.com;maddr={VICTIM[0]}", OURS),
    ("sip:bob@example.com:5999;transport=tcp", None),
    (f"sip:example.com;maddr={VICTIM[0]}", None),
    ("sip:bob@example.com", f"<sip:{V};lr>"),
    ("sip:bob@example.com", f"{OURS}, <sip:{V};lr>"),
    ("sip:bob@example.com", f"<sip:{V};transport=tcp;lr>"),
    ("sip:bob@example.com", f"<sip:{V}>"),
    ("sip:example.com", f"<sip:{V};lr>"),
    ("sip:bob@192.0.2.10", f"<sip:{V};lr>"),
    ("sip:192.0.2.1:5060;lr", f"<sip:{V};lr>, <sip:bob@192.0.2.10>"),
    ("sip:192.0.2.1:5060;lr", f"<sip:x@{V}>"),
]
TRANSPORTS = ["udp", "tcp", "tls"]


@pytest.fixture
def stage():
    return Guarded()


def flow_of(transport, place=STRANGER):
    return FakeFlow(transport, place)


def reached(stage):
    """The places of requests that went on."""
    return {one.flow.remote for one in stage.requests()}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("to_tag", [None, "invented"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS", "ACK", "BYE", "SUBSCRIBE", "NOVEL", "REGISTER"])
@pytest.mark.parametrize(("uri", "route"), ELSEWHERE)
def test_nothing_leads_elsewhere(stage, method, to_tag, transport, uri, route):
    more = {} if route is None else {"Route": route}
    request = stranger_request(method, uri, to_tag=to_tag, transport=transport.upper(), **more)
    stage.request(request, flow_of(transport))
    answers = stage.take()
    assert all(one.flow.remote == STRANGER and one.address in (None, STRANGER) for one in answers)
    assert [one.what for one in answers if one.what != 100] == ([] if method == "ACK" else [403])
    assert set(stage.flows) == set()  # and no connection was tried
    stage.settle()


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS", "ACK"])
def test_our_users_are_reached(stage, method):
    stage.request(stranger_request(method))
    assert reached(stage) == {PHONE}


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("route", [f"<sip:{V};lr>", f"{OURS}, <sip:{V}>"])
def test_a_flow_is_no_matter_of_routes(stage, route, gone):
    """Proxies leave their own Route on a request: it does no harm where it does not decide where that goes."""
    flow = FakeFlow("tls", PHONE)
    other = ProxyTarget(SipUri.parse("sip:bob@192.0.2.11"), flow="other")
    stage.tokens |= {} if gone else {"phone": flow}
    bob = ProxyTarget(SipUri.parse("sip:bob@192.0.2.10"), flow="phone", alternatives=(other,))
    stage.locations["sip:bob@example.com"] = [bob]
    stage.request(stranger_request(Route=route))
    sent = stage.take()
    assert [one.flow for one in sent] == [stage.caller if gone else flow]
    assert sent[0].what == (480 if gone else "INVITE")
    assert stage.flows == {}


@pytest.mark.parametrize("claim", [False, True])
def test_without_digest_a_claim_proves_nothing(claim):
    stage = Guarded()
    stage.service._proxies = None
    stage.request(stranger_request("INVITE", f"sip:x@{V}", caller=f"sip:{'alice@example.com' if claim else 'm@evil'}"))
    assert [one.what for one in stage.take()] == [403]


def test_a_hook_that_says_nothing_knows_a_stranger():
    stage = Stage(authorize=lambda request, flow: None)
    stage.request(stranger_request("INVITE", f"sip:x@{V}"))
    assert [one.what for one in stage.take()] == [403]


# Dialogs.


def dialog_of(stage, flow=None, contact="sip:bob@192.0.2.10", **more):
    """A stranger's call to bob that is answered: the INVITE as bob got it, and the routes of both sides."""
    flow = flow or flow_of("udp")
    request = stranger_request(
        transport=flow.transport.upper(), source=flow.remote, Contact=f"<sip:mallory@{flow.remote[0]}>", **more
    )
    stage.request(request, flow)
    [sent] = stage.requests()
    stage.answer(sent, 200, tag="b", Contact=f"<{contact}>", Record_Route=", ".join(record_of(sent)))
    stage.take()
    return request, record_of(sent)


def record_of(sent):
    return [str(one) for one in sent.message.record_routes]


def in_dialog(request, method, uri, routes, *, by_callee=False, **more):
    """A request in the dialog of an INVITE, by whom it is said to be."""
    to = {"to_tag": "b"} if not by_callee else {"tag": "b", "to_tag": "m", "caller": "sip:bob@example.com"}
    more = {"Route": ", ".join(routes), "branch": f"z9hG4bK{method}{len(uri)}"} | to | more
    return stranger_request(method, uri, call_id=request.call_id, **more)


@pytest.mark.parametrize("method", ["ACK", "BYE", "MESSAGE"])
def test_a_dialog_goes_on_by_our_route(stage, method):
    request, record = dialog_of(stage)
    stage.request(in_dialog(request, method, "sip:bob@192.0.2.10", reversed(record)))
    assert reached(stage) == {PHONE}


@pytest.mark.parametrize("method", ["ACK", "BYE", "INVITE"])
@pytest.mark.parametrize(("uri", "route"), [(f"sip:x@{V}", ""), ("sip:bob@192.0.2.10", f", <sip:{V};lr>")])
def test_our_route_leads_to_the_other_end_alone(stage, method, uri, route):
    request, record = dialog_of(stage)
    asked = in_dialog(request, method, uri, reversed(record))
    asked.headers.set("Route", (asked.headers.get("Route") or "") + route)
    stage.request(asked)
    assert stage.places() <= {STRANGER}


def test_not_in_the_callees_name_either(stage):
    """The caller knows both tags: his ACK that pretends to be the callee's goes to him and to nobody else."""
    request, record = dialog_of(stage)
    for number, uri in enumerate((f"sip:x@{V}", "sip:mallory@198.51.100.7:5070")):
        stage.request(in_dialog(request, "ACK", uri, record, by_callee=True, branch=f"z9hG4bK{number}"))
    assert reached(stage) == set()
    # The callee himself goes where the caller says that he is.
    ack = in_dialog(request, "ACK", "sip:mallory@198.51.100.7:5070", record, by_callee=True, source=PHONE)
    stage.request(ack, flow_of("udp", PHONE))
    assert reached(stage) == {("198.51.100.7", 5070)}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("method", ["BYE", "INVITE", "MESSAGE", "NOVEL"])
@pytest.mark.parametrize("our_caller", [False, True])
def test_the_place_of_a_user_is_no_proof_of_him(stage, method, transport, our_caller):
    """Others share his address or forge it: one end of a dialog, who knows its tags, gets no open relay by that."""
    user = PHONE if not our_caller else ALICE
    if our_caller:
        flow = flow_of(transport, ALICE)
        uri = "sip:m@far.example"
        request = stranger_request("INVITE", uri, caller="sip:alice@example.com", tag="a", to=uri, source=ALICE)
        as_alice(stage, request, flow)
        [sent] = stage.requests()
        stage.answer(sent, 200, tag="b", Contact=f"<{uri}>")
        routes, tags = record_of(sent), {"tag": "a", "to_tag": "b"}
    else:
        stage.locations["sip:bob@example.com"] = [ProxyTarget(SipUri.parse(f"{BOB};transport={transport}"))]
        request, routes = dialog_of(stage, contact=f"{BOB};transport={transport}")
        tags = {"tag": "b", "to_tag": "m"}
    stage.take()
    forged = in_dialog(request, method, f"sip:x@{V}", routes, caller="sip:x@evil.example", **tags)
    stage.request(forged, flow_of(transport, user))
    assert [one.what for one in stage.take()] == [403]


@pytest.mark.parametrize("named", ["Contact", "Record-Route"])
def test_a_user_reaches_a_stranger_where_he_says_that_he_is(stage, named):
    """As over a trunk: in the name that he was called by, at another port than the call came from."""
    flow = flow_of("tcp", (STRANGER[0], 40000))
    place = "sip:198.51.100.8:5070;transport=tcp"
    more = {"Contact": f"<{place}>"} if named == "Contact" else {"Contact": "<sip:m@far.example>"}
    request = stranger_request(transport="TCP", source=STRANGER, to="sip:+4930@far.example", **more)
    if named != "Contact":
        request.headers.add("Record-Route", f"<{place};lr>")
    request.headers.add("Via", "SIP/2.0/UDP far.example;branch=z9hG4bKfar")
    stage.request(request, flow)
    [sent] = stage.requests()
    stage.answer(sent, 200, tag="b", Contact=f"<{BOB}>")
    stage.take()
    routes = record_of(sent)
    uri = place if named == "Contact" else "sip:m@far.example"
    bye = in_dialog(request, "BYE", uri, routes, by_callee=True, caller="sip:+4930@far.example", source=PHONE)
    stage.request(bye, flow_of("udp", PHONE))
    assert reached(stage) == {("198.51.100.8", 5070)}


@pytest.mark.parametrize("change", ["call_id", "tag", "seal", "flags", "place", "shorter", "longer", "none"])
@pytest.mark.parametrize("method", ["ACK", "BYE"])
def test_a_route_of_another_dialog_proves_nothing(stage, change, method):
    request, record = dialog_of(stage)
    user = SipUri.parse(str(NameAddr.parse(record[-1]).uri)).user
    changed = {
        "seal": user[:-1] + ("A" if user[-1] != "A" else "B"),
        "flags": f"{user[0]}{int(user[1]) ^ 1}{user[2:]}",
        "place": f"{user[:2]}{'A' if user[2] != 'A' else 'B'}{user[3:]}",
        "shorter": user[:20],
        "longer": f"{user}c0123",
        "none": "",
    }.get(change, user)
    route = record[-1].replace(f"{user}@", f"{changed}@" if changed else "")
    more = {"call_id": "other"} if change == "call_id" else {}
    asked = in_dialog(request, method, "sip:bob@192.0.2.10", [route])
    if more:
        asked.headers.set("Call-ID", "other")
    if change == "tag":
        asked.headers.set("From", "<sip:mallory@evil.example>;tag=other")
    stage.request(asked)
    assert reached(stage) == set()


def test_proxies_with_one_key_know_each_others_routes(stage):
    request, record = dialog_of(stage)
    stage.renew_proxy()
    stage.request(in_dialog(request, "BYE", "sip:bob@192.0.2.10", reversed(record)))
    assert reached(stage) == {PHONE}


def test_a_user_who_moved_is_found_by_what_he_has_registered(stage):
    request, record = dialog_of(stage)
    moved = "sip:bob@192.0.2.77:5062"
    stage.request(in_dialog(request, "BYE", moved, reversed(record)))
    assert reached(stage) == set()
    stage.locations["sip:bob@example.com"] = [ProxyTarget(SipUri.parse(moved))]
    stage.request(in_dialog(request, "BYE", moved, reversed(record), branch="z9hG4bKagain"))
    assert reached(stage) == {("192.0.2.77", 5062)}


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_caller_held_to_his_connection_is_reached_by_it(stage, transport):
    flow = flow_of(transport, (STRANGER[0], 40000))
    stage.tokens["cflow"] = flow
    request, record = dialog_of(stage, flow)
    bye = in_dialog(request, "BYE", f"sip:x@{V}", record, by_callee=True, source=PHONE)
    bye.headers.set("From", "<sip:bob@far.example>;tag=b")
    stage.request(bye, flow_of("udp", PHONE))
    assert reached(stage) == {flow.remote}
    # And it is not lent to anybody: a flow's name by itself, in a dialog, is none.
    assert "cflow" not in {one.uri.user for one in map(NameAddr.parse, record)}


# Users.


def alices_call(stage, uri="sip:carol@far.example"):
    stage.servers["far.example"] = [Target("udp", "203.0.113.5", 5060, "far.example")]
    flow = flow_of("udp", ALICE)
    request = stranger_request(
        "INVITE", uri, caller="sip:alice@example.com", tag="a", to=uri, source=ALICE, Contact="<sip:alice@192.0.2.50>"
    )
    as_alice(stage, request, flow)
    [sent] = stage.requests()
    stage.answer(sent, 200, tag="c", Contact="<sip:carol@203.0.113.9:5070>", Record_Route=", ".join(record_of(sent)))
    stage.take()
    return request, record_of(sent), sent


def test_a_user_reaches_everybody_and_his_ack_too(stage):
    request, record, sent = alices_call(stage)
    assert sent.flow.remote == ("203.0.113.5", 5060)
    more = {"caller": "sip:alice@example.com", "tag": "a", "to_tag": "c"}
    ack = in_dialog(request, "ACK", "sip:carol@203.0.113.9:5070", reversed(record), source=ALICE, **more)
    stage.request(ack, flow_of("udp", ALICE))
    assert reached(stage) == {("203.0.113.9", 5070)}
    # The same by anybody else, who may have seen all of it, goes nowhere.
    for place in (STRANGER, ("203.0.113.9", 5070), (ALICE[0], 5070)):
        ack.headers.set("Via", f"SIP/2.0/UDP {place[0]}:{place[1]};branch=z9hG4bK{place[1]}")
        stage.request(ack, flow_of("udp", place))
        assert reached(stage) == set()


def test_whom_a_user_called_reaches_him(stage):
    request, record, _ = alices_call(stage)
    carol = ("203.0.113.9", 5070)
    more = {"caller": "sip:carol@far.example", "tag": "c", "to_tag": "a", "source": carol}
    for uri, places in (("sip:alice@192.0.2.50", {ALICE}), (f"sip:x@{V}", set())):
        stage.request(in_dialog(request, "BYE", uri, record, **more), flow_of("udp", carol))
        assert reached(stage) == places


def test_a_user_needs_his_proof_in_dialogs_too(stage):
    request, record, _ = alices_call(stage)
    more = {"caller": "sip:alice@example.com", "tag": "a", "to_tag": "c", "source": STRANGER}
    stage.request(in_dialog(request, "BYE", f"sip:x@{V}", reversed(record), **more))
    assert [one.what for one in stage.take()] == [407]


def test_without_record_route_nothing_is_sealed_and_nothing_passes():
    stage = Guarded(settings=ProxySettings(record_route=False))
    stage.request(stranger_request())
    [sent] = stage.requests()
    assert record_of(sent) == []
    stage.request(stranger_request("BYE", "sip:bob@192.0.2.10", to_tag="b", branch="z9hG4bKbye"))
    assert reached(stage) == set()


def test_a_token_tells_nothing_of_places(stage):
    _, record = dialog_of(stage)
    [user] = {NameAddr.parse(one).uri.user for one in record}
    assert len(user) == 58
    for place in (PHONE, STRANGER):
        assert place[0].encode().hex() not in user
    other = Guarded()
    _, again = dialog_of(other)
    assert again != record  # of another Call-ID


def test_garbage_in_our_routes_is_no_error(stage):
    for number, user in enumerate(("d", "d7", "d" + "!" * 49, "dx" + "A" * 48, "d9" + "A" * 48, "d7" + "~" * 48)):
        request = stranger_request("BYE", "sip:bob@192.0.2.10", to_tag="b", branch=f"z9hG4bK{number}")
        request.headers.add("Route", f"<sip:{user}@192.0.2.1:5060;lr>")
        stage.run(stage.proxy.receive_request(parse_message(request.serialize()), stage.caller, stage.now))
        assert [one.what for one in stage.take()] == [403]
