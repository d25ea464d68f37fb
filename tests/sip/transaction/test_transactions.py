"""Transactions by the clock: every timer of RFC 3261 17, and the states of RFC 6026."""

from __future__ import annotations

import pytest

from sip import Request, Response, SipUri, Timers
from sip.message.parser import parse_message
from sip.transaction.client import ClientState, ClientTransaction, Deliver, Send, TimedOut
from sip.transaction.server import ServerState, ServerTransaction, server_key


def request(method="INVITE", *, branch="z9hG4bK1", host="192.0.2.1"):
    made = Request(method, SipUri.parse("sip:bob@example.com"))
    made.headers.add("Via", f"SIP/2.0/UDP {host};branch={branch}")
    made.headers.add("From", "<sip:alice@example.com>;tag=a")
    made.headers.add("To", "<sip:bob@example.com>")
    made.headers.add("Call-ID", "c")
    made.headers.add("CSeq", f"1 {method}")
    return made


def run(machine, until):
    """Lets the timers fire up to `until`; returns (time, output) pairs."""
    log = []
    while (due := machine.next_timer()) is not None and due <= until:
        log += [(round(due, 3), output) for output in machine.handle_timer(due)]
    return log


def sends(log):
    return [time for time, output in log if isinstance(output, Send)]


def test_invite_client_timers_a_and_b():
    client = ClientTransaction(request(), reliable=False)
    assert client.start(0.0) == [Send(client.request)]
    log = run(client, 100)
    assert sends(log) == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert log[-1] == (32.0, TimedOut())
    assert client.terminated


def test_invite_client_reliable_has_no_timer_a():
    client = ClientTransaction(request(), reliable=True)
    client.start(0.0)
    assert run(client, 100) == [(32.0, TimedOut())]


def test_other_client_timers_e_and_f():
    client = ClientTransaction(request("OPTIONS"), reliable=False)
    client.start(0.0)
    log = run(client, 100)
    assert sends(log) == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert log[-1] == (32.0, TimedOut())


def test_other_client_proceeding_retransmits_at_t2():
    client = ClientTransaction(request("OPTIONS"), reliable=False)
    client.start(0.0)
    client.receive(client.request.create_response(100), 0.1)
    assert sends(run(client, 9)) == [0.5, 4.5, 8.5]
    final = client.request.create_response(200)
    assert client.receive(final, 9.0) == [Deliver(final)]
    assert client.receive(final, 9.1) == []
    assert run(client, 13.9) == []
    assert run(client, 14.0) == []
    assert client.terminated  # timer K


@pytest.mark.parametrize("reliable", [False, True])
def test_invite_client_refused(reliable):
    client = ClientTransaction(request(), reliable=reliable)
    client.start(0.0)
    client.receive(client.request.create_response(180), 0.1)
    assert run(client, 60) == []  # no timer while it rings
    refusal = client.request.create_response(486, to_tag="b")
    ack, delivered = client.receive(refusal, 61.0)
    assert delivered == Deliver(refusal)
    message = parse_message(ack.message.serialize())
    assert message.method == "ACK"
    assert message.headers.get("Via") == client.request.headers.get("Via")
    assert message.to.tag == "b"
    assert message.cseq.number == 1
    if reliable:
        assert client.terminated
    else:
        assert client.receive(refusal, 62.0) == [ack]
        run(client, 92.9)
        assert client.state is ClientState.COMPLETED
        run(client, 93.0)
        assert client.terminated  # timer D


def test_invite_client_accepted_passes_on_every_2xx():
    client = ClientTransaction(request(), reliable=False)
    client.start(0.0)
    for tag, time in (("b", 1.0), ("b", 2.0), ("fork", 3.0)):
        success = client.request.create_response(200, to_tag=tag)
        assert client.receive(success, time) == [Deliver(success)]
    assert client.receive(client.request.create_response(486), 4.0) == []
    run(client, 32.9)
    assert client.state is ClientState.ACCEPTED
    run(client, 33.0)
    assert client.terminated  # timer M


def test_invite_server_refuses_until_acknowledged():
    server = ServerTransaction(request(), reliable=False)
    refusal = server.request.create_response(486)
    assert server.respond(refusal, 0.0) == [Send(refusal)]
    assert sends(run(server, 8)) == [0.5, 1.5, 3.5, 7.5]
    assert server.receive(server.request, 8.1) == [Send(refusal)]
    ack = request("ACK")
    assert server_key(ack) == server.key
    assert server.receive(ack, 9.0) == []
    assert server.state is ServerState.CONFIRMED
    assert run(server, 13.9) == []
    run(server, 14.0)
    assert server.terminated  # timer I


def test_invite_server_never_acknowledged():
    server = ServerTransaction(request(), reliable=False)
    server.respond(server.request.create_response(486), 0.0)
    log = run(server, 100)
    assert sends(log) == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert log[-1] == (32.0, TimedOut())  # timer H


def test_invite_server_sends_100_by_itself():
    server = ServerTransaction(request(), reliable=False)
    server.start(0.0)
    [(time, trying)] = run(server, 10)
    assert (time, trying.message.status) == (0.2, 100)
    assert server.receive(server.request, 0.3) == [trying]
    quick = ServerTransaction(request(), reliable=False)
    quick.start(0.0)
    quick.respond(quick.request.create_response(180), 0.1)
    assert run(quick, 10) == []


def test_invite_server_accepted_absorbs_retransmissions():
    server = ServerTransaction(request(), reliable=False)
    server.respond(server.request.create_response(200), 0.0)
    assert server.receive(server.request, 1.0) == []
    assert server.respond(server.request.create_response(486), 1.0) == []
    run(server, 31.9)
    assert server.state is ServerState.ACCEPTED
    run(server, 32.0)
    assert server.terminated  # timer L


@pytest.mark.parametrize(("reliable", "linger"), [(False, 32.0), (True, 0.0)])
def test_other_server_repeats_its_answer(reliable, linger):
    server = ServerTransaction(request("OPTIONS"), reliable=reliable)
    assert server.receive(server.request, 0.0) == []
    answer = server.request.create_response(200)
    assert server.respond(answer, 0.0) == [Send(answer)]
    if linger:
        assert server.receive(server.request, 1.0) == [Send(answer)]
        run(server, linger)
    assert server.terminated  # timer J


def test_timers_scale_with_t1():
    client = ClientTransaction(request(), reliable=False, timers=Timers(t1=0.1))
    client.start(0.0)
    assert run(client, 100)[-1] == (6.4, TimedOut())


def test_requests_match_by_branch_sent_by_and_method():
    key = server_key(request())
    assert server_key(request("ACK")) == key
    assert server_key(request("CANCEL"))[:-1] == key[:-1]
    assert server_key(request("CANCEL")) != key
    assert server_key(request(branch="z9hG4bK2")) != key
    assert server_key(request(host="192.0.2.2")) != key
    old = server_key(request(branch="1"))
    assert server_key(request(branch="z9hG4bK")) != old  # a bare cookie is no branch


def test_requests_without_branch_match_by_the_rest():
    """RFC 2543's rule (17.2.3), with the longest CSeq there is: nothing is written where it may not fit."""
    first, again, other = request(), request(), request()
    for one, number in ((first, 2**31 - 1), (again, 2**31 - 1), (other, 2**31 - 2)):
        one.headers.set("Via", "SIP/2.0/UDP 192.0.2.1")
        one.headers.set("CSeq", f"{number} INVITE")
    assert server_key(first) == server_key(again) != server_key(other)
    assert ServerTransaction(first, reliable=False).key == server_key(first)


def test_responses_out_of_place_do_nothing():
    client = ClientTransaction(request("BYE"), reliable=True)
    client.start(0.0)
    final = client.request.create_response(200)
    client.receive(final, 1.0)
    assert client.receive(final, 2.0) == []
    assert client.receive(Response(100, "", final.headers), 2.0) == []
