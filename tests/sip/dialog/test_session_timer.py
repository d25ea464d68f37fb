"""Session timers (RFC 4028): negotiation from both sides, both refreshers, 422 and bad values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip import Request, Response, SipParseError, SipUri
from sip.dialog.session_timer import (
    Refresher,
    SessionExpires,
    SessionTimerPolicy,
    agreed_by,
    least_interval,
    session_expires,
)
from sip.errors import SessionIntervalError


def asking(value=None, *, supported=True, minimum=None):
    request = Request("INVITE", SipUri.parse("sip:bob@example.com"))
    if value is not None:
        request.headers.add("Session-Expires", value)
    if supported:
        request.headers.add("Supported", "100rel, timer")
    if minimum is not None:
        request.headers.add("Min-SE", str(minimum))
    return request


@pytest.mark.parametrize(
    ("value", "supported", "interval", "refresher", "ours"),
    [
        ("600", True, 600, Refresher.UAC, False),
        ("600;refresher=uas", True, 600, Refresher.UAS, True),
        ("600 ; Refresher = UAC", True, 600, Refresher.UAC, False),
        ("600", False, 600, Refresher.UAS, True),  # a proxy asked for it
        ("600;refresher=uac", False, 600, Refresher.UAS, True),
        ("7200", True, 1800, Refresher.UAC, False),
    ],
)
def test_the_answer_and_how_the_caller_reads_it(value, supported, interval, refresher, ours):
    response = Response(200, "OK")
    timer = SessionTimerPolicy().answer(asking(value, supported=supported), response)
    assert (timer.interval, timer.refreshing) == (interval, ours)
    assert session_expires(response) == SessionExpires(interval, refresher)
    assert ("timer" in response.option_tags("Require")) == supported
    assert agreed_by(response).refreshing is not ours


def test_no_timer_where_none_is_asked_for():
    response = Response(200, "OK")
    assert SessionTimerPolicy().answer(asking(), response) is None
    assert agreed_by(response) is None


def test_too_small_an_interval_is_422_only_for_who_knows_it():
    policy = SessionTimerPolicy(minimum=120)
    with pytest.raises(SessionIntervalError) as error:
        policy.answer(asking("100"), Response(200, "OK"))
    assert error.value.minimum == 120
    response = Response(200, "OK")
    assert policy.answer(asking("100", supported=False), response) is None
    assert "Session-Expires" not in response.headers


def test_asking_again_after_422_takes_its_min_se():
    request = asking(supported=False)
    SessionTimerPolicy(interval=100).ask(request, minimum=400)
    assert session_expires(request) == SessionExpires(400)
    assert least_interval(request) == 400
    assert request.option_tags("Supported") == ["timer"]


@pytest.mark.parametrize("value", ["", "-1", "x", "4294967296", "90;refresher=both", "1 2"])
def test_values_that_cannot_be_read(value):
    with pytest.raises(SipParseError):
        SessionExpires.parse(value)


def test_a_peer_cannot_make_us_refresh_without_end():
    response = Response(200, "OK")
    response.headers.add("Session-Expires", "1;refresher=uac")
    with pytest.raises(SipParseError):
        agreed_by(response)


@given(st.integers(90, 1 << 32), st.integers(90, 4000), st.integers(0, 4000), st.integers(90, 5000))
def test_nobody_lengthens_and_nobody_goes_under_a_minimum(asked, minimum, more, theirs):
    asked = max(min(asked, (1 << 32) - 1), theirs)
    policy = SessionTimerPolicy(interval=minimum + more, minimum=minimum)
    try:
        timer = policy.answer(asking(str(asked), minimum=theirs), Response(200, "OK"))
    except SessionIntervalError:
        assert asked < minimum
        return
    assert max(minimum, theirs, 90) <= timer.interval <= asked
    assert timer.due < timer.interval


@pytest.mark.parametrize(("interval", "refreshing", "due"), [(1800, True, 900), (1800, False, 1768), (90, False, 60)])
def test_when_each_side_acts(interval, refreshing, due):
    response = Response(200, "OK")
    response.headers.add("Session-Expires", f"{interval};refresher={'uac' if refreshing else 'uas'}")
    assert agreed_by(response).due == due
