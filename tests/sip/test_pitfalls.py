"""What went wrong in other SIP implementations' signalling, and the test of ours for each.

The table is checked: a test that is renamed or removed is missed here.
"""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import pytest

from sip import DigestServer, NameAddr, Request, SipParseError, SipUri, Timers, parse_message
from sip.user_agent import UserAgent

TESTS = Path(__file__).resolve().parents[1]

PARSING, TLS, DIGEST = "sip/test_parsing.py", "sip/test_tls.py", "sip/test_digest.py"
HARDENED, EVENTS = "sip/test_digest_hardening.py", "sip/test_event_subscription.py"
STREAMS, AGENT, HERE = "faults/test_stream_faults.py", "sip/test_user_agent.py", "sip/test_pitfalls.py"

PITFALLS = [
    # Parsing
    ("headers smuggled past a proxy by To\\x01:", PARSING, "only_space_and_tab_stand_before_the_colon"),
    ("headers injected by values", PARSING, "headers_cannot_be_injected"),
    ("Content-Length allocates before the limit", PARSING, "stream_refuses_bad_content_length_before_it_allocates"),
    ("a header without end", PARSING, "endless_header_is_cut_off"),
    ("values that take for ever to read", PARSING, "hostile_values_take_linear_time"),
    ("a stream forgets what was whole before a fault", PARSING, "stream_keeps_what_was_whole_before_a_fault"),
    ("damaged messages crash", PARSING, "a_damaged_message_gives_a_message_or_a_parse_error"),
    ("users of other bytes are taken for the same", PARSING, "users_of_different_bytes_are_not_the_same"),
    (
        "a SUBSCRIBE with Expires 0",
        "sip/test_event_subscription.py",
        "a_notifier_ends_by_time_by_unsubscribing_and_by_refusals",
    ),
    # TLS
    ("the name is not checked, the chain alone is", TLS, "nothing_is_sent_before_the_name_is_proven"),
    ("the common name counts beside a subjectAltName", TLS, "names_that_do_not"),
    ("DNS names count beside a SIP URI", TLS, "dns_names_count_only_where_no_sip_uri_does"),
    ("wildcards match too much", TLS, "wildcards_where_allowed"),
    ("an address is not checked", TLS, "names_that_match"),
    ("connections are used for another name, CVE-2020-15260", TLS, "a_connection_is_not_used_for_another_name"),
    (
        "a peer that is gone before it is accepted, CVE-2021-32686",
        "faults/test_stream_faults.py",
        "a_peer_that_connects_and_is_gone_before_it_is_looked_at",
    ),
    # Digest
    (
        "the digest leak: a challenge by who called us",
        "sip/test_user_agent.py",
        "challenge_of_our_bye_in_a_call_received",
    ),
    ("the digest leak in the name of our own realm", DIGEST, "sip_digest_leak_in_the_name_of_our_own_realm"),
    ("only the first challenge is read", DIGEST, "a_later_challenge_counts_too"),
    ("auth-int without a hash of the body", DIGEST, "auth_int_covers_the_body"),
    ("SHA-512/256 is a truncated SHA-512", DIGEST, "sha_512_256_is_not_a_truncated_sha_512"),
    ("a nonce count is used twice", DIGEST, "replayed_nonce_count_is_refused"),
    ("downgrade to MD5", DIGEST, "downgrade_to_md5_is_refused_unless_allowed"),
    ("a crafted Authorization, CVE-2023-28098", HARDENED, "any_header_is_a_verdict_or_a_digest_error"),
    (
        "MESSAGE and SUBSCRIBE are relayed unproven, CVE-2021-37624",
        "sip/test_pitfalls.py",
        "every_method_is_authenticated",
    ),
    # Routing
    ("a loop without end", "sip/test_proxy_routing.py", "a_loop_is_482_and_a_spiral_is_not"),
    ("forks that multiply, RFC 5393", "sip/test_proxy_forking.py", "contacts_that_lead_back_to_us_do_not_multiply"),
    ("sips leaves TLS", "sip/test_proxy.py", "sips_never_leaves_tls"),
    ("a sips contact without TLS", "sip/test_registrar.py", "sips_contact_needs_sips_all_the_way"),
]


@pytest.mark.parametrize(("pitfall", "file", "name"), PITFALLS, ids=[what for what, _, _ in PITFALLS])
def test_every_pitfall_has_its_test(pitfall: str, file: str, name: str) -> None:
    tree = ast.parse((TESTS / file).read_text())
    functions = {one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert f"test_{name}" in functions, f"nothing shows that we are free of this: {pitfall}"


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
