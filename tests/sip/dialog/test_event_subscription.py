"""Event subscriptions (RFC 6665) without sockets: both machines, what they say, and all the ways to end."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip import Request, SipParseError, SipUri, Timers
from sip.dialog.event_subscription import Event, Notifier, State, Subscriber, SubscriptionState
from sip.message.message import Response

PRESENCE = Event("presence")
N = 64 * Timers().t1


def request(method, **headers):
    made = Request(method, SipUri("sip", "example.com", "bob"))
    for name, value in {"To": "<sip:b@b>", "From": "<sip:a@a>;tag=1", "Call-ID": "x", "CSeq": f"1 {method}"}.items():
        made.headers.add(name, value)
    made.headers.add("Via", "SIP/2.0/UDP a;branch=z9hG4bK1")
    for name, value in headers.items():
        if value is not None:
            made.headers.add(name.replace("_", "-"), value)
    return made


def notify(state, event="presence"):
    return request("NOTIFY", Event=event, Subscription_State=state)


def response(status, expires=None):
    made = Response(status, "x")
    if expires is not None:
        made.headers.add("Expires", str(expires))
    return made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("active;expires=600", SubscriptionState(State.ACTIVE, 600)),
        ("Pending ; Expires=5", SubscriptionState(State.PENDING, 5)),
        (
            "terminated;reason=probation;retry-after=9",
            SubscriptionState(State.TERMINATED, None, "probation", 9),
        ),
        ("waiting", SubscriptionState(State.PENDING)),  # an extension
        ("notify-wait", SubscriptionState(State.PENDING)),  # our name for what is never said
    ],
)
def test_subscription_state(text, expected):
    assert SubscriptionState.parse(text) == expected
    assert SubscriptionState.parse(str(expected)) == expected


@pytest.mark.parametrize("text", ["", ";expires=1", "active;expires=x", "active;expires=4294967296", "a b"])
def test_states_that_cannot_be_read(text):
    with pytest.raises(SipParseError):
        SubscriptionState.parse(text)


@given(st.text(max_size=60))
def test_any_text_is_a_state_or_a_parse_error(text):
    with contextlib.suppress(SipParseError):
        state = SubscriptionState.parse(text)
        assert SubscriptionState.parse(state.state.value).state is state.state


def test_event():
    assert Event.of(request("SUBSCRIBE", Event="Presence;id=7")) == Event("presence", "7")
    assert str(Event("presence", "7")) == "presence;id=7"
    with pytest.raises(SipParseError) as missing:
        Event.of(request("SUBSCRIBE"))
    assert missing.value.status == 489
    twice = request("SUBSCRIBE", Event="a")
    twice.headers.add("Event", "b")
    with pytest.raises(SipParseError) as several:
        Event.of(twice)
    assert several.value.status == 400


def subscribed(expires=600):
    subscriber = Subscriber(PRESENCE, expires=expires)
    subscriber.subscribed(0)
    return subscriber


def test_a_subscription_that_is_refreshed():
    subscriber = subscribed()
    assert subscriber.notified(notify("pending;expires=600"), 0) == 200  # before the response
    subscriber.responded(response(200, 600), 1)
    assert subscriber.state is State.PENDING
    assert subscriber.notified(notify("active;expires=400"), 2) == 200
    assert subscriber.state is State.ACTIVE
    assert subscriber.next_timer() == 2 + 340
    assert subscriber.handle_timer(100) is None
    assert subscriber.handle_timer(342) == "refresh"
    assert subscriber.next_timer() == 402
    subscriber.subscribed(342)
    subscriber.responded(response(200, 600), 343)
    assert subscriber.notified(notify("active;expires=600"), 343) == 200
    assert subscriber.next_timer() == 343 + 540


@pytest.mark.parametrize("first", [True, False])
def test_without_a_notify_it_fails(first):
    subscriber = subscribed()
    at = 0
    if not first:
        subscriber.notified(notify("active;expires=600"), 0)
        assert subscriber.handle_timer(540) == "refresh"
        subscriber.subscribed(540)
        at = 540
    subscriber.responded(response(200, 600), at)
    assert subscriber.next_timer() == at + N
    assert subscriber.handle_timer(at + N) == "ended"
    assert subscriber.state is State.TERMINATED
    assert subscriber.next_timer() is None
    assert subscriber.notified(notify("active"), at + N + 1) == 481


def test_204_brings_no_notify():
    subscriber = subscribed()
    subscriber.notified(notify("active;expires=600"), 0)
    subscriber.subscribed(500)
    subscriber.responded(response(204, 600), 501)
    assert subscriber.next_timer() == 501 + 540


def test_it_ends_when_nobody_refreshes():
    subscriber = subscribed(100)
    subscriber.notified(notify("active"), 10)  # no expires: what was asked for
    assert subscriber.handle_timer(85) == "refresh"
    assert subscriber.handle_timer(110) == "ended"
    assert subscriber.reason == "expired"


@pytest.mark.parametrize("status", [404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604, 500, 503, 403])
def test_refusals(status):
    fails_at_first = subscribed()
    fails_at_first.responded(response(status), 0)
    assert fails_at_first.state is State.TERMINATED
    refresh = subscribed()
    refresh.notified(notify("active;expires=600"), 0)
    refresh.subscribed(540)
    refresh.responded(response(status), 541)
    stands = status in (500, 503, 403)
    assert refresh.state is (State.ACTIVE if stands else State.TERMINATED)
    assert refresh.next_timer() == (600 if stands else None)


@pytest.mark.parametrize(
    ("told", "again"),
    [
        ("terminated", 0),
        ("terminated;reason=deactivated", 0),
        ("terminated;reason=timeout", 0),
        ("terminated;reason=probation;retry-after=30", 30),
        ("terminated;reason=giveup;retry-after=5", 5),
        ("terminated;reason=rejected;retry-after=5", None),
        ("terminated;reason=noresource", None),
        ("terminated;reason=invariant", None),
        ("terminated;reason=something", 0),
    ],
)
def test_who_may_subscribe_again(told, again):
    subscriber = subscribed()
    assert subscriber.notified(notify(told), 0) == 200
    assert (subscriber.state, subscriber.resubscribe_in) == (State.TERMINATED, again)


def test_a_notify_for_something_else_changes_nothing():
    subscriber = subscribed()
    assert subscriber.notified(notify("active", "dialog"), 0) == 481
    assert subscriber.notified(notify("active", "presence;id=1"), 0) == 481
    with pytest.raises(SipParseError):
        subscriber.notified(request("NOTIFY", Event="presence"), 0)
    assert subscriber.state is State.NOTIFY_WAIT


def test_the_notifier_grants_no_more_than_its_limit():
    notifier = Notifier(PRESENCE, limit=600, minimum=60)
    for wanted, granted in (("3600", "600"), (None, "600"), ("60", "60")):
        answer = notifier.subscribe(request("SUBSCRIBE", Expires=wanted), 0)
        assert (answer.status, answer.headers.get("Expires")) == (200, granted)
    brief = notifier.subscribe(request("SUBSCRIBE", Expires="59"), 0)
    assert (brief.status, brief.headers.get("Min-Expires")) == (423, "60")
    assert str(notifier.state_header(10)) == "active;expires=50"


def test_a_notifier_ends_by_time_by_unsubscribing_and_by_refusals():
    by_time = Notifier(PRESENCE)
    by_time.subscribe(request("SUBSCRIBE", Expires="100"), 0)
    assert not by_time.handle_timer(99)
    assert by_time.handle_timer(100)
    assert not by_time.handle_timer(101)
    assert str(by_time.state_header(100)) == "terminated;reason=timeout"
    unsubscribed = Notifier(PRESENCE)
    assert unsubscribed.subscribe(request("SUBSCRIBE", Expires="0"), 0).status == 200
    assert str(unsubscribed.state_header(0)) == "terminated;reason=timeout"
    for status, ended in ((200, False), (500, False), (481, True), (489, True)):
        notifier = Notifier(PRESENCE)
        notifier.subscribe(request("SUBSCRIBE"), 0)
        notifier.notified(response(status))
        assert (notifier.state is State.TERMINATED) is ended


def test_a_pending_subscription_is_approved():
    notifier = Notifier(PRESENCE, active=False)
    notifier.subscribe(request("SUBSCRIBE", Expires="10"), 0)
    assert str(notifier.state_header(0)) == "pending;expires=10"
    notifier.approve()
    assert notifier.state is State.ACTIVE
    notifier.terminate("rejected")
    notifier.approve()
    assert str(notifier.state_header(0)) == "terminated;reason=rejected"


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["refresh", "unsubscribe", "drop", "state"]),
            st.integers(1, 400),
        ),
        max_size=30,
    )
)
def test_both_sides_agree_on_whether_it_stands(steps):
    """Whatever is refreshed, lost or waited for: a subscriber never believes in what its notifier has ended."""
    now = 0.0
    subscriber, notifier = Subscriber(PRESENCE, expires=300), Notifier(PRESENCE, limit=300)

    def subscribe(expires):
        subscriber.subscribed(now)
        subscriber.responded(notifier.subscribe(request("SUBSCRIBE", Expires=expires), now), now)
        subscriber.notified(notify(str(notifier.state_header(now))), now)

    subscribe("300")
    for step in steps:
        if isinstance(step, int):
            now += step
            notifier.handle_timer(now)
            if subscriber.handle_timer(now) == "refresh" and notifier.state is not State.TERMINATED:
                subscribe("300")
        elif notifier.state is State.TERMINATED:
            break
        elif step == "refresh":
            subscribe("300")
        elif step == "unsubscribe":
            subscribe("0")
        elif step == "state":
            subscriber.notified(notify(str(notifier.state_header(now))), now)
        assert not (subscriber.state is State.ACTIVE and notifier.state is State.TERMINATED)
