"""Forking: groups by q, the best response, 6xx, Max-Breadth, several ways to one target (RFC 3261 16.6, 16.7)."""

from __future__ import annotations

import itertools

import pytest
from proxy_stage import FakeFlow, Stage, make_request

from sip import Response, SipUri
from sip.discovery.target import Target
from sip.proxy.events import ProxyTarget
from sip.proxy.response_choice import choose_response

BOB = "sip:bob@example.com"


def target(number, q=1000, **more):
    return ProxyTarget(SipUri.parse(f"sip:bob@192.0.2.{number}"), q, **more)


@pytest.fixture
def stage():
    return Stage()


def fork(stage, *targets, method="INVITE", **headers):
    stage.locations[BOB] = list(targets)
    stage.request(make_request(method, BOB, **headers))
    return stage.take()


def whats(sent):
    return [one.what for one in sent]


def hosts(sent):
    return [one.flow.remote[0][8:] for one in sent]


def end(stage):
    stage.request(make_request("ACK", to_tag="callee"))
    stage.settle()


def test_equal_q_in_parallel_and_the_others_cancelled(stage):
    one, two, three = fork(stage, target(1), target(2), target(3))
    branches = {sent.message.top_via.branch for sent in (one, two, three)}
    assert len(branches) == 3
    assert [str(sent.message.uri) for sent in (one, two, three)] == [f"sip:bob@192.0.2.{n}" for n in (1, 2, 3)]
    stage.answer(one, 180, tag="one")
    stage.answer(two, 183, tag="two")
    stage.take()
    stage.answer(one, 200, tag="one")
    ok, cancel = stage.take()
    assert (ok.what, cancel.what, hosts([cancel])) == (200, "CANCEL", ["2"])
    stage.answer(cancel, 200)
    stage.answer(two, 487, tag="two")
    assert whats(stage.take()) == ["ACK"]
    stage.answer(three, 180, tag="three")  # only now it may be cancelled, and is not told upstream any more
    assert whats(stage.take()) == ["CANCEL"]
    stage.answer(three, 200, tag="three")  # crossed: the caller has to end that one
    [late] = stage.take()
    assert (late.what, late.message.to.tag) == (200, "three")
    stage.settle()


def test_falling_q_one_after_the_other(stage):
    [first] = fork(stage, target(1, 500), target(2, 900), target(3, 100))
    assert hosts([first]) == ["2"]
    stage.answer(first, 486)
    _, second = stage.take()
    assert hosts([second]) == ["1"]
    stage.answer(second, 404)
    _, third = stage.take()
    assert hosts([third]) == ["3"]
    stage.answer(third, 500)
    assert whats(stage.take()) == ["ACK", 486]
    end(stage)


def test_a_group_ends_before_the_next_begins(stage):
    one, two = fork(stage, target(1, 900), target(2, 900), target(3, 100))
    stage.answer(one, 486)
    assert whats(stage.take()) == ["ACK"]
    stage.answer(two, 486)
    _ack, third = stage.take()
    assert hosts([third]) == ["3"]
    stage.answer(third, 200)
    assert whats(stage.take()) == [200]
    stage.settle()


def test_each_uri_once(stage):
    assert hosts(fork(stage, target(1), target(1, 500), target(2))) == ["1", "2"]


def test_no_targets_is_480_and_no_such_user_404(stage):
    assert whats(fork(stage)) == [480]
    stage.locations[BOB] = None
    stage.request(make_request("OPTIONS", BOB, branch="z9hG4bK2"))
    assert whats(stage.take()) == [404]
    end(stage)


def test_6xx_cancels_all_and_goes_up_last(stage):
    one, two, three = fork(stage, target(1), target(2), target(3), target(4, 100))[:3]
    stage.answer(two, 180)
    stage.answer(three, 180)
    stage.take()
    stage.answer(one, 603)
    _ack, *cancels = stage.take()
    assert whats(cancels) == ["CANCEL", "CANCEL"]
    stage.answer(two, 487)
    assert whats(stage.take()) == ["ACK"]
    stage.answer(three, 487)
    assert whats(stage.take()) == ["ACK", 603]  # and the fourth is never tried
    end(stage)


def test_6xx_and_then_200(stage):
    one, two = fork(stage, target(1), target(2))
    stage.answer(one, 603)
    stage.take()
    stage.answer(two, 200)
    assert whats(stage.take()) == [200]
    stage.settle()


def test_cancel_reaches_every_branch(stage):
    sent = fork(stage, target(1), target(2), target(3, 100))
    for one in sent:
        stage.answer(one, 180)
    stage.take()
    stage.request(make_request("CANCEL", BOB))
    ok, *cancels = stage.take()
    assert (ok.what, whats(cancels)) == (200, ["CANCEL", "CANCEL"])
    for one in sent:
        stage.answer(one, 487)
    assert whats(stage.take()) == ["ACK", "ACK", 487]
    end(stage)


def test_challenges_are_gathered(stage):
    one, two = fork(stage, target(1), target(2))
    stage.answer(one, 407, Proxy_Authenticate='Digest realm="p", nonce="1"')
    stage.answer(two, 401, WWW_Authenticate='Digest realm="u", nonce="2"')
    final = stage.take()[-1]
    assert final.what == 401
    assert final.message.headers.get("Proxy-Authenticate") == 'Digest realm="p", nonce="1"'
    assert final.message.headers.get("WWW-Authenticate") == 'Digest realm="u", nonce="2"'
    end(stage)


def test_others_than_invite_are_forked_but_never_cancelled(stage):
    one, two = fork(stage, target(1), target(2), method="MESSAGE")
    stage.answer(one, 200)
    assert whats(stage.take()) == [200]
    stage.answer(two, 200)
    assert stage.take() == []  # exactly one final response
    stage.settle()


def test_one_branch_times_out(stage):
    one, _two = fork(stage, target(1), target(2))
    stage.answer(one, 404)
    stage.pass_time(33)
    assert 404 in whats(stage.take())
    end(stage)


# The best response.


def best(*statuses, method="INVITE", cancelled=False):
    request = make_request(method)
    chosen = choose_response(request, [request.create_response(one) for one in statuses], cancelled=cancelled)
    return None if chosen is None else chosen.status


@pytest.mark.parametrize(
    ("statuses", "wanted"),
    [
        ((503, 407, 501, 404), 407),  # the example of 16.7
        ((486, 603, 302), 603),
        ((486, 302, 500), 302),
        ((404, 486), 404),
        ((486, 484), 484),
        ((408, 486), 486),
        ((503,), 500),
        ((503, 502), 502),
        ((), 408),
    ],
)
def test_best_response(statuses, wanted):
    assert best(*statuses) == wanted


def test_best_response_in_every_order():
    for statuses in itertools.permutations((302, 401, 486, 500, 503)):
        assert best(*statuses) == 302
    for statuses in itertools.permutations((401, 404, 500)):
        assert best(*statuses) == 401


def test_best_response_of_nothing():
    assert best(cancelled=True) == 487
    assert best(method="MESSAGE") is None
    assert best(408, 408, method="MESSAGE") is None
    assert best(408, 404, method="MESSAGE") == 404


def test_a_response_with_no_other_challenge_stays_itself():
    request = make_request()
    only: Response = request.create_response(401)
    assert choose_response(request, [only]) is only


# Max-Breadth (RFC 5393 5.3).


def test_breadth_is_shared_out(stage):
    sent = fork(stage, target(1), target(2), target(3), Max_Breadth="11")
    assert sorted(int(one.message.headers.get("Max-Breadth")) for one in sent) == [3, 4, 4]


def test_breadth_above_ours_is_cut(stage):
    [sent] = fork(stage, target(1), Max_Breadth="4000")
    assert sent.message.headers.get("Max-Breadth") == "60"


def test_breadth_of_two_lets_two_ring_at_once(stage):
    one, two = fork(stage, target(1), target(2), target(3), target(4), Max_Breadth="2")
    assert [sent.message.headers.get("Max-Breadth") for sent in (one, two)] == ["1", "1"]
    stage.answer(one, 486)
    _, three = stage.take()
    assert hosts([three]) == ["3"]
    stage.answer(two, 486)
    _ack, four = stage.take()
    assert hosts([four]) == ["4"]
    stage.answer(three, 200)
    assert 200 in whats(stage.take())
    stage.answer(four, 487)
    stage.settle()


def test_breadth_of_none_is_440(stage):
    assert whats(fork(stage, target(1), Max_Breadth="0")) == [440]
    end(stage)


def test_breadth_is_malformed(stage):
    assert whats(fork(stage, target(1), Max_Breadth="many")) == [400]
    end(stage)


# Several ways to one target (RFC 5626 5.3).


def test_flow_token_and_path(stage):
    stage.tokens["t1"] = FakeFlow("tls", ("192.0.2.77", 40000))
    [sent] = fork(stage, target(1, flow="t1"))
    assert sent.flow is stage.tokens["t1"]
    top = sent.message.record_routes[0].uri
    assert (top.user, top.transport) == ("t1", "tls")
    stage.answer(sent, 200)
    stage.settle()
    assert whats(stage.take()) == [200]
    [sent] = fork(stage, target(1, path=("<sip:edge.example.com;lr>", "<sip:192.0.2.8;lr>")), branch="z9hG4bK2")
    assert [str(one) for one in sent.message.routes] == ["<sip:edge.example.com;lr>", "<sip:192.0.2.8;lr>"]
    assert sent.flow.remote[0] == "edge.example.com"


def test_a_gone_flow_falls_back_to_the_contact(stage):
    [sent] = fork(stage, target(1, flow="gone"))
    assert hosts([sent]) == ["1"]


def test_alternatives_of_a_flow(stage):
    stage.tokens["t2"] = FakeFlow("tcp", ("192.0.2.78", 40000))
    other = target(2, flow="t2")
    [sent] = fork(stage, target(1, alternatives=(other,)))
    stage.answer(sent, 430)
    _ack, second = stage.take()
    assert second.flow is stage.tokens["t2"]
    stage.answer(second, 200)
    assert whats(stage.take()) == [200]
    stage.settle()


def carry_round(stage, limit=1000):
    """Brings what the proxy sends to its own address back to it.

    Returns how many requests came round, how many were forwarded at the same time at most, and what was sent elsewhere.
    """
    itself, rounds, most, others = FakeFlow("udp", ("192.0.2.1", 5060)), 0, 0, []
    while sent := stage.take():
        for one in sent:
            if one.flow.remote != itself.remote:
                others.append(one)
            elif isinstance(one.message, Response):
                stage.run(stage.proxy.receive_response(one.message, stage.now))
            else:
                rounds += one.what == "INVITE"
                stage.request(one.message, itself)
        most = max(most, stage.proxy.active_contexts)
        assert rounds < limit
    return rounds, most, others


def test_contacts_that_lead_back_to_us_do_not_multiply(stage):
    # The attack of RFC 5393 3: each round would double the requests, 2^70 of them by Max-Forwards alone.
    stage.servers["example.com"] = [Target("udp", "192.0.2.1", 5060, "example.com")]
    stage.locations[BOB] = [ProxyTarget(SipUri.parse(f"{BOB};n={number}")) for number in (1, 2)]
    stage.request(make_request("INVITE", BOB))
    rounds, _, answers = carry_round(stage)
    assert rounds == 2 + 4 + 4  # both; of their four two are the same once more, and the others lead to four such
    assert whats(answers) == [482]
    end(stage)


def test_breadth_bounds_all_rounds_where_no_loop_is_seen(stage):
    # Each round goes to a new address, so that no loop shows; at any time no more than Max-Breadth are on their way.
    stage.servers["example.com"] = [Target("udp", "192.0.2.1", 5060, "example.com")]
    names = iter(range(100_000))

    class Ever(dict):
        def get(self, name, default=None):
            return [ProxyTarget(SipUri.parse(f"sip:u{next(names)}@example.com")) for _ in range(2)]

    stage.locations = Ever()
    stage.request(make_request("INVITE", BOB, Max_Forwards="5", Max_Breadth="4"))
    rounds, most, answers = carry_round(stage)
    assert rounds == 2 + 4 + 8 + 16 + 32
    assert most <= 1 + 2 + 4 + 4 + 4  # at once it would be 1 + 2 + 4 + 8 + 16
    assert whats(answers) == [483]
    end(stage)


def test_timer_c_of_one_group_leads_to_the_next(stage):
    [first] = fork(stage, target(1), target(2, 500))
    stage.answer(first, 180)
    stage.take()
    stage.pass_time(200.2)
    [cancel] = stage.take()
    assert (cancel.what, cancel.flow) == ("CANCEL", first.flow)
    stage.answer(first, 487)
    _ack, second = stage.take()
    assert hosts([second]) == ["2"]
    stage.answer(second, 200)
    assert whats(stage.take()) == [200]
    stage.settle()


def test_timer_c_is_not_reset_by_100(stage):
    [invite] = fork(stage, target(1))
    stage.answer(invite, 180)
    stage.take()
    stage.pass_time(150)
    stage.answer(invite, 100)
    stage.pass_time(50.2)
    assert whats(stage.take()) == ["CANCEL"]
    stage.answer(invite, 487)
    end(stage)
