"""Hostile values in every place of a message, and who has proven nothing by every method."""

from __future__ import annotations

import asyncio

import pytest

from sip import DigestServer, NameAddr, Request, SipParseError, SipUri, Timers, parse_message
from sip.user_agent.user_agent import UserAgent

REQUEST = (
    b"OPTIONS %s SIP/2.0\r\nVia: SIP/2.0/UDP a.example%s\r\nMax-Forwards: 70\r\n"
    b"From: %s;tag=a\r\nTo: <sip:b@b.example>\r\nCall-ID: 1\r\nCSeq: %s OPTIONS\r\nContent-Length: %s\r\n\r\n"
)
GOOD = (b"sip:b@b.example", b";branch=z9hG4bK1", b"<sip:a@a.example>", b"1", b"0")


def with_part(place: int, value: bytes) -> bytes:
    parts = list(GOOD)
    parts[place] = value
    return REQUEST % tuple(parts)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, b"sip:b\0@b.example"),
        (0, b'sip:"b"@b.example'),
        (0, b"sip:b b@b.example"),
        (2, b'"Alice\\" <sip:a@a.example>'),  # CVE-2021-43611: the quote never ends
        (2, b'"Alice\\'),
        (2, b"<sip:a\0@a.example>"),
        (3, b"4294967296"),
        (3, b"9" * 5000),
        (3, b"-1"),
        (4, b"-1"),
        (4, b"99999999999999999999"),
        (4, b"1, 2"),
        (4, b"0x10"),
    ],
)
def test_what_is_refused(place: int, value: bytes) -> None:
    with pytest.raises(SipParseError) as error:
        parse_message(with_part(place, value))
    assert error.value.status in (400, 413)


def test_what_looks_odd_and_is_allowed() -> None:
    """CVE-2021-33056: a From that is no SIP URI; pjproject #2016: a Via without a branch."""
    assert str(parse_message(with_part(2, b"<tel:+4930123>")).from_.uri) == "tel:+4930123"
    assert parse_message(with_part(1, b"")).top_via.branch is None
    assert parse_message(REQUEST % GOOD).cseq.number == 1


@pytest.mark.parametrize(
    "method", ["INVITE", "OPTIONS", "MESSAGE", "SUBSCRIBE", "INFO", "REFER", "NOTIFY", "UPDATE", "BYE", "PRACK"]
)
async def test_every_method_is_authenticated(method: str) -> None:
    """All but ACK and CANCEL, which nobody can be asked about: nothing is done for who has proven nothing."""
    done: list[object] = []
    timers = Timers(t1=0.02, t2=0.1, t4=0.05)
    clock = asyncio.get_running_loop().time
    two = UserAgent(
        timers=timers,
        on_invite=done.append,
        on_request=lambda request: done.append(request) or request.create_response(200),  # type: ignore[func-returns-value]
        extra_methods=frozenset(("MESSAGE", "SUBSCRIBE")),
        authenticator=DigestServer.with_passwords("r", {"alice": "pw"}, clock=clock),
    )
    one = UserAgent(timers=timers)
    try:
        await one.listen("udp", "127.0.0.1")
        port = (await two.listen("udp", "127.0.0.1")).port
        request = Request(method, SipUri.parse(f"sip:b@127.0.0.1:{port}"))
        request.headers.add("Max-Forwards", "70")
        request.headers.add("From", "<sip:alice@a.example>;tag=1")
        request.headers.add("To", str(NameAddr(SipUri("sip", "b.example", "b"))))
        request.headers.add("Call-ID", f"pitfall {method}".replace(" ", "-"))
        request.headers.add("CSeq", f"1 {method}")
        request.headers.add("Contact", str(one.contact("udp", "alice")))
        if method == "INVITE":
            found: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            invite = one.start_request(
                request, await one.flow_for(request), lambda one_: found.set_result(one_.status), lambda _: None
            )
            assert await found == 401
            one.forget(invite)
        else:
            assert (await one.request(request)).status == 401
        assert done == []
    finally:
        await one.close()
        await two.close()
