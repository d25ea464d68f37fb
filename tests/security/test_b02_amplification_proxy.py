"""What a proxy sends to an address that somebody wrote into a UDP packet: little, and to nobody else."""

from __future__ import annotations

import pytest
from guarded_stage import ALICE, PHONE, STRANGER, VICTIM, Guarded, as_alice, stranger_request
from proxy_stage import FakeFlow, Stage, make_request

from sip import Request, SipUri, parse_message
from sip.discovery.target import add_received, response_address
from sip.proxy.events import ProxyTarget

# What each is refused with, and the changes to a stranger's request that bring it about.
REFUSED = {
    407: {"caller": "sip:alice@example.com"},
    403: {"uri": "sip:x@far.example"},
    480: {"uri": "sip:nobody@example.com"},
    404: {"uri": "sip:unknown@example.com"},
    483: {"Max_Forwards": "0"},
    420: {"Proxy_Require": "novel"},
    440: {"Max_Breadth": "0"},
    400: {"Max_Breadth": "many"},
}

# As docs/security.md has it; not taken from the product, which could then move it.
FACTOR, MAX_SUCCESSES = 3, 8


@pytest.fixture
def stage():
    made = Guarded()
    made.locations["sip:unknown@example.com"] = None
    return made


def finals(stage):
    return [one for one in stage.take() if not isinstance(one.message, Request) and one.message.status >= 200]


def size(sent):
    return sum(len(one.message.serialize()) for one in sent)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "SUBSCRIBE"])
@pytest.mark.parametrize("status", REFUSED)
def test_a_refusal_is_sent_once_and_nothing_is_kept(stage, status, method, transport):
    request = stranger_request(method, transport=transport.upper(), **REFUSED[status])
    flow = FakeFlow(transport, STRANGER)
    stage.request(request, flow)
    assert stage.proxy.active_transactions == stage.proxy.active_contexts == stage.proxy.admission.total == 0
    stage.pass_time(40)
    sent = finals(stage)
    assert [one.what for one in sent] == [status]
    assert sent[0].flow.remote == STRANGER
    if transport == "udp":
        assert size(sent) <= FACTOR * len(request.serialize())
    # The same to a retransmission, and its ACK belongs to it.
    stage.request(request, flow)
    [again] = finals(stage)
    assert again.what == status
    assert again.message.to.tag == sent[0].message.to.tag
    if method == "INVITE":
        ack = stranger_request("ACK", transport=transport.upper(), call_id=request.call_id, **REFUSED[status])
        ack.headers.set("To", str(again.message.to))
        stage.request(ack, flow)
        assert stage.take() == []
    stage.settle()


@pytest.mark.parametrize("status", [401, 403, 404, 423, 500])
def test_what_the_registrar_refuses_too(stage, status):
    stage.request(stranger_request("REGISTER", "sip:example.com"))
    [asked] = stage.served
    stage.run(stage.proxy.respond(asked.exchange, asked.request.create_response(status), stage.now))
    assert [one.what for one in finals(stage)] == [status]
    assert stage.proxy.active_transactions == 0


NAMES_VICTIM = [
    f"maddr={VICTIM[0]}",
    f"maddr={VICTIM[0]};rport",
    f"maddr={VICTIM[0]};ttl=16",
    f"received={VICTIM[0]}",
    f"received={VICTIM[0]};rport",
    f"received={VICTIM[0]};rport=9",
    f"rport=5060;maddr={VICTIM[0]}",
    "maddr=victim.example",
    f"maddr=[::ffff:{VICTIM[0]}]",
]


@pytest.mark.parametrize("sent_by", [STRANGER[0], "evil.example", VICTIM[0]])
@pytest.mark.parametrize("parameters", NAMES_VICTIM)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("changes", [REFUSED[407], REFUSED[480], {"method": "CANCEL"}, {"method": "OPTIONS"}, {}])
def test_a_via_names_nobody_else(stage, changes, transport, parameters, sent_by):
    request = stranger_request(**changes)
    via = f"SIP/2.0/{transport.upper()} {sent_by};{parameters};branch=z9hG4bKv"
    request.headers.set("Via", via)
    stage.request(request, FakeFlow(transport, STRANGER))
    sent = stage.take()
    assert sent
    for one in sent:
        if isinstance(one.message, Request):
            assert one.flow.remote == PHONE
        else:
            assert (one.address or one.flow.remote)[0] == STRANGER[0]


def test_a_maddr_counts_where_it_is_the_source_or_a_group():
    for maddr, host in (("192.0.2.9", "192.0.2.9"), ("224.0.1.75", "224.0.1.75"), ("203.0.113.66", "192.0.2.9")):
        via = make_request("OPTIONS", via=f"SIP/2.0/UDP 192.0.2.9;maddr={maddr}").top_via
        assert response_address(add_received(via, "192.0.2.9", 4000)) == (host, 5060)


# A call that is let through.


def call(stage, source=STRANGER, transport="udp", body=b"v=0\r\n" * 20):
    request = stranger_request(source=source, transport=transport.upper())
    request.body = body
    stage.request(request, FakeFlow(transport, source))
    [sent] = stage.requests()
    return request, sent


def responses(stage):
    return [one for one in stage.take() if not isinstance(one.message, Request)]


@pytest.mark.parametrize("final", [486, 302, 488, 603])
def test_provisionals_and_a_refusal_stay_within_three_times(stage, final):
    request, sent = call(stage)
    got = 0
    for _ in range(20):
        stage.answer(sent, 183, Contact="<sip:bob@192.0.2.10>", Subject="x" * 200)
    stage.answer(sent, final, Warning="399 example " + "y" * 300)
    stage.pass_time(60)
    answers = responses(stage)
    assert 0 < size(answers) <= FACTOR * len(request.serialize())
    assert [one.what for one in answers if one.what >= 200]  # whatever came before, the end is told
    got += size(answers)
    stage.settle()


def test_each_retransmission_may_be_answered(stage):
    request, sent = call(stage, body=b"")
    stage.answer(sent, 180)
    stage.take()
    for count in range(1, 15):
        stage.request(request)
        assert len(responses(stage)) == 1, count
    stage.answer(sent, 486)
    assert responses(stage)


def test_nobody_has_a_response_repeated_to_somebody_else(stage):
    request, sent = call(stage, body=b"")
    stage.answer(sent, 180)
    stage.take()
    for flow in (FakeFlow("udp", ("192.0.2.222", 5060)), FakeFlow("tcp", ("192.0.2.222", 5060))):
        stage.request(request, flow)
        assert stage.take() == []
    stage.request(request)
    assert [one.what for one in responses(stage)] == [180]


def test_a_success_is_sent_so_often_and_no_more(stage):
    _, sent = call(stage)
    for _ in range(11):
        stage.answer(sent, 200, Contact="<sip:bob@192.0.2.10>")
        stage.pass_time(2)
    assert [one.what for one in responses(stage)] == [200] * MAX_SUCCESSES
    stage.settle()


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_connection_proves_where_it_comes_from(stage, transport):
    _, sent = call(stage, transport=transport)
    for _ in range(11):
        stage.answer(sent, 200, Contact="<sip:bob@192.0.2.10>")
    assert len(responses(stage)) == 11
    stage.settle()


def test_a_nonce_proves_it_too(stage):
    request = stranger_request(caller="sip:alice@example.com", source=ALICE)
    as_alice(stage, request, FakeFlow("udp", ALICE))
    [sent] = stage.requests()
    for _ in range(11):
        stage.answer(sent, 200, Contact="<sip:bob@192.0.2.10>")
    assert len(responses(stage)) == 11


def test_and_so_does_a_route_of_the_dialog(stage):
    request, sent = call(stage)
    record = [str(one) for one in sent.message.record_routes]
    stage.answer(sent, 200, Contact="<sip:bob@192.0.2.10>")
    stage.take()
    for source, many in ((STRANGER, 11), (VICTIM, MAX_SUCCESSES)):
        again = stranger_request(
            "INVITE",
            "sip:bob@192.0.2.10",
            to_tag="callee",
            call_id=request.call_id,
            branch=f"z9{source[0]}",
            source=source,
        )
        again.headers.add("Route", ", ".join(record))
        stage.request(again, FakeFlow("udp", source))
        [reinvite] = stage.requests()
        for _ in range(11):
            stage.answer(reinvite, 200, Contact="<sip:bob@192.0.2.10>")
        assert len(responses(stage)) == many


def test_where_everything_is_relayed_nobody_is_trusted_more():
    stage = Stage()
    stage.locations["sip:bob@example.com"] = [ProxyTarget(SipUri.parse("sip:bob@192.0.2.10"))]
    stage.request(make_request("INVITE", "sip:bob@example.com"))
    [sent] = [one for one in stage.take() if isinstance(one.message, Request)]
    for _ in range(11):
        stage.answer(sent, 200, Contact="<sip:bob@192.0.2.10>")
    assert len(responses(stage)) == MAX_SUCCESSES
    stage.settle()


def test_a_challenge_longer_than_its_request_allows_names_fewer_algorithms(stage):
    text = (
        b"INVITE sip:b@example.com SIP/2.0\r\nv:SIP/2.0/UDP x;branch=z9hG4bK1\r\nf:<sip:alice@example.com>;tag=1\r\n"
        b"t:<sip:b@example.com>\r\ni:1\r\nCSeq:1 INVITE\r\n\r\n"
    )
    stage.run(stage.proxy.receive_request(parse_message(text), stage.caller, stage.now))
    [refusal] = stage.take()
    assert refusal.what == 407
    assert len(refusal.message.headers.get_all("Proxy-Authenticate")) == 1
    assert len(refusal.message.serialize()) <= FACTOR * len(text)


def test_an_ack_from_there_proves_it_even_if_it_is_lost_behind_us(stage):
    for number, (source, many) in enumerate(((STRANGER, 11), (VICTIM, MAX_SUCCESSES - 1))):
        request, sent = call(stage)
        stage.answer(sent, 200, Contact="<sip:bob@192.0.2.10>")
        stage.take()
        ack = stranger_request(
            "ACK", "sip:bob@192.0.2.10", to_tag="callee", call_id=request.call_id, branch=f"z9{number}"
        )
        stage.request(ack, FakeFlow("udp", source))
        for _ in range(11):
            stage.answer(sent, 200, Contact="<sip:bob@192.0.2.10>")
        assert len(responses(stage)) == many
        stage.settle()
    assert not stage.proxy._awaited
