"""SIPS is never downgraded (RFC 5630), hop by hop: what the tests of parser, discovery and registrar do not show."""

from __future__ import annotations

import secrets

import pytest
from proxy_stage import FakeFlow, Stage

from sip import Request, Response, SipUri, TransportError
from sip.discovery.target import next_hop, target_of
from sip.proxy.events import ProxyTarget
from sip.user_agent.user_agent import UserAgent


def make(method: str, uri: str, **fields: str) -> Request:
    request = Request(method, SipUri.parse(uri))
    request.headers.add("Via", f"SIP/2.0/TLS 192.0.2.50;branch=z9hG4bK{secrets.token_hex(4)}")
    request.headers.add("Max-Forwards", "70")
    request.headers.add("From", "<sips:alice@elsewhere.example>;tag=a")
    request.headers.add("To", f"<{uri}>")
    request.headers.add("Call-ID", secrets.token_hex(8))
    request.headers.add("CSeq", f"1 {method}")
    for name, value in fields.items():
        request.headers.add(name, value)
    return request


@pytest.mark.parametrize("scheme", ["sip", "sips"])
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_proxy_sends_sips_down_secure_flows_only(scheme, transport):
    """A phone that registered a flow without TLS is not reached by it, and by no other way either."""
    stage = Stage()
    stage.tokens["t1"] = FakeFlow(transport, ("192.0.2.77", 40000))
    uri = SipUri.parse(f"{scheme}:bob@10.0.0.1")
    stage.locations[f"{scheme}:bob@example.com"] = [ProxyTarget(uri, flow="t1", flow_failure=480)]
    caller = FakeFlow("tls", ("192.0.2.50", 5061))
    stage.run(stage.proxy.receive_request(make("MESSAGE", f"{scheme}:bob@example.com"), caller, stage.now))
    forwarded = [one for one in stage.sent if isinstance(one.message, Request)]
    if scheme == "sip" or transport == "tls":
        assert [one.flow.transport for one in forwarded] == [transport]
    else:
        assert not forwarded
        answer = stage.sent[-1].message
        assert isinstance(answer, Response)
        assert answer.status >= 400


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_user_agent_sends_no_sips_request_by_a_flow_without_tls(transport):
    """Neither the flow of a dialog nor a registered one is an excuse."""
    one, two = UserAgent(), UserAgent()
    try:
        await one.listen(transport, "127.0.0.1")
        address = await two.listen(transport, "127.0.0.1")
        plain = f"127.0.0.1:{address.port};transport={transport}"
        reached = make("OPTIONS", f"sip:bob@{plain}")
        reached.headers.remove_first("Via")
        flow = await one.flow_for(reached)
        assert (await one.request(reached, flow=flow)).status == 200
        lingering = one.active_transactions
        secured = make("OPTIONS", f"sips:bob@127.0.0.1:{address.port}")
        secured.headers.remove_first("Via")
        with pytest.raises(TransportError, match="TLS"):
            await one.request(secured, flow=flow)
        assert one.active_transactions == lingering
    finally:
        await one.close()
        await two.close()


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("<sip:proxy.example;lr>", "tls"),
        ("<sip:proxy.example;transport=tcp;lr>", "tls"),
        ("<sips:p.example;lr>", "tls"),
    ],
)
def test_a_route_without_s_does_not_lead_a_sips_request_out_of_tls(route, expected):
    assert target_of(next_hop(make("INVITE", "sips:bob@example.com", Route=route))).transport == expected
