"""A sips request leaves by TLS or not at all, whoever named the target (RFC 5630 5.3, RFC 3261 16.6)."""

from __future__ import annotations

import pytest
from proxy_stage import FakeFlow, Stage, make_request

from sip import NameAddr, Request, SipUri
from sip.dialog.dialog import Dialog
from sip.discovery.target import next_hop, target_of
from sip.proxy.events import ProxyTarget

TLS = FakeFlow("tls", ("192.0.2.50", 5061))
AOR = "sips:bob@example.com"


def uri(text):
    return SipUri.parse(text)


def forwarded(stage, method, to, flow=TLS, **headers):
    stage.locations["sips:bob@example.com"] = stage.locations.get("sip:bob@example.com", [])
    stage.request(make_request(method, to, via="SIP/2.0/TLS 192.0.2.50", **headers), flow)
    sent = stage.take()
    return [one for one in sent if isinstance(one.message, Request)], [one.what for one in sent]


# What the location service may answer for bob, and how many of it may be used.
SOURCES = {
    "a target in clear": ([ProxyTarget(uri("sip:bob@192.0.2.10"))], 0),
    "in clear by TCP": ([ProxyTarget(uri("sip:bob@192.0.2.10;transport=tcp"))], 0),
    "in clear but for TLS": ([ProxyTarget(uri("sip:bob@192.0.2.10;transport=tls"))], 0),
    "by a flow in clear": ([ProxyTarget(uri("sip:bob@192.0.2.10"), flow="clear")], 0),
    "sips by a flow in clear": ([ProxyTarget(uri("sips:bob@192.0.2.10"), flow="clear", flow_failure=480)], 0),
    "by a TLS flow, but sip": ([ProxyTarget(uri("sip:bob@192.0.2.10"), flow="tls")], 0),
    "by a path in clear": ([ProxyTarget(uri("sips:bob@192.0.2.10"), path=("<sip:192.0.2.20;lr>",))], 1),
    "by a strict path in clear": ([ProxyTarget(uri("sips:bob@192.0.2.10"), path=("<sip:192.0.2.20>",))], 1),
    "both": ([ProxyTarget(uri("sip:bob@192.0.2.10")), ProxyTarget(uri("sips:bob@192.0.2.11"))], 1),
    "an alternative in clear": (
        [ProxyTarget(uri("sips:bob@192.0.2.10"), flow="gone", alternatives=(ProxyTarget(uri("sip:bob@192.0.2.11")),))],
        1,
    ),
    "a first in clear": (
        [ProxyTarget(uri("sip:bob@192.0.2.10"), alternatives=(ProxyTarget(uri("sips:bob@192.0.2.11")),))],
        1,
    ),
}


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "ACK"])
@pytest.mark.parametrize("source", SOURCES)
def test_the_location_service(source, method):
    stage = Stage()
    stage.tokens |= {"clear": FakeFlow("tcp", ("192.0.2.30", 1)), "tls": FakeFlow("tls", ("192.0.2.31", 1))}
    targets, usable = SOURCES[source]
    stage.locations["sip:bob@example.com"] = targets
    requests, all_ = forwarded(stage, method, AOR)
    assert [one.flow.secure for one in requests] == [True] * usable
    assert all(isinstance(one.message.uri, SipUri) and one.message.uri.secure for one in requests)
    if not usable and method != "ACK":
        assert next(one for one in all_ if one != 100) >= 400


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "ACK"])
@pytest.mark.parametrize(
    ("to", "routes"),
    [
        ("sips:bob@far.example", "<sip:192.0.2.20>"),
        ("sips:bob@far.example", "<sip:192.0.2.20;transport=tcp>, <sip:192.0.2.21;lr>"),
        ("sips:bob@far.example", "<sip:192.0.2.20;lr>"),
        ("sips:bob@far.example", "<sip:192.0.2.1:5060;lr>, <sip:192.0.2.20>"),
        ("sips:bob@far.example", "<sip:192.0.2.20;maddr=192.0.2.22>"),
        ("sips:bob@far.example;maddr=192.0.2.22", None),
        ("sips:proxy.example.com:5061;lr", "<sip:192.0.2.20>, <sips:bob@far.example>"),
        ("sips:proxy.example.com:5061;lr", "<sip:bob@far.example>"),
    ],
)
def test_routes_strict_and_loose(method, to, routes):
    stage = Stage()
    requests, _ = forwarded(stage, method, to, **({} if routes is None else {"Route": routes}))
    [sent] = requests
    assert sent.flow.secure
    assert sent.message.uri.secure


@pytest.mark.parametrize("target", ["sip:bob@192.0.2.10", "sips:bob@192.0.2.10"])
@pytest.mark.parametrize("route", [None, "<sip:192.0.2.20>", "<sip:192.0.2.20;lr>", "<sips:192.0.2.20>"])
@pytest.mark.parametrize("method", ["ACK", "BYE", "INVITE"])
def test_within_a_sips_dialog(target, route, method):
    """A user agent's own: neither a Contact in clear nor a strict router leads its requests out of TLS."""
    alice, bob = NameAddr.parse("<sips:alice@a.example>;tag=a"), NameAddr.parse("<sips:bob@b.example>;tag=b")
    routes = () if route is None else (NameAddr.parse(route),)
    dialog = Dialog("call", alice, bob, uri(target), routes, True, 1, None, True)
    request = dialog.create_request(method, cseq=1 if method == "ACK" else None)
    assert request.uri.secure
    assert target_of(next_hop(request)).transport == "tls"
