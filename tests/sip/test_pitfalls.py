"""What went wrong in other implementations of SIP signalling, and the test of ours for each.

The table is checked: a test that is renamed or removed is missed here.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

PARSING, AGENT, TLS = "sip/message/test_parsing.py", "sip/user_agent/test_user_agent.py", "sip/transport/test_tls.py"
DIGEST, HARDENING, LIMITS = (
    "sip/digest/test_digest.py",
    "sip/digest/test_digest_hardening.py",
    "sip/transport/test_connection_limits.py",
)

PITFALLS = [
    # TLS
    ("the server's name is not checked", TLS, "nothing_is_sent_before_the_name_is_proven"),
    ("the common name counts beside a subjectAltName", TLS, "names_that_do_not"),
    ("for an IP address only the chain is checked", TLS, "names_that_do_not"),
    ("wildcards match more than one label, or themselves", TLS, "wildcards_where_allowed"),
    ("CVE-2020-15260: connections used again by IP alone", TLS, "a_connection_is_not_used_for_another_name"),
    ("a connection serves every name of its certificate", TLS, "names_of_one_address_have_connections_of_their_own"),
    ("certificates for other ends than SIP", TLS, "usages_of_the_certificate"),
    (
        "session keys are written where the environment says",
        TLS,
        "no_session_key_is_written_where_the_environment_asks_for_it",
    ),
    ("old versions of TLS", TLS, "older_versions_are_refused_by_both_sides"),
    ("CVE-2021-32686: handshakes that break off", LIMITS, "a_handshake_that_never_ends_is_counted_and_closed"),
    # Digest
    ("the digest leak: a peer challenges our BYE", DIGEST, "sip_digest_leak"),
    ("the digest leak in the name of our realm", DIGEST, "sip_digest_leak_in_the_name_of_our_own_realm"),
    ("the digest leak over the wire", AGENT, "challenge_of_our_bye_in_a_call_received"),
    ("only the first challenge is read", DIGEST, "a_later_challenge_counts_too"),
    ("auth-int without the body", DIGEST, "auth_int_covers_the_body"),
    ("SHA-512/256 as truncated SHA-512", DIGEST, "sha_512_256_is_not_a_truncated_sha_512"),
    ("CVE-2021-37624: methods without authentication", AGENT, "digest_is_asked_of_every_method"),
    ("CVE-2023-28098: crafted credentials", DIGEST, "malformed_credentials_are_a_400"),
    ("any Authorization", HARDENING, "any_header_is_a_verdict_or_a_digest_error"),
    # Parsing
    ("header smuggling by To\\x01:", PARSING, "only_space_and_tab_stand_before_the_colon"),
    ("SA-0004: header injection", PARSING, "headers_cannot_be_injected"),
    ("user parts with NUL or quotes", PARSING, "bad_uris"),
    ("CVE-2021-33056: a From that is no SIP URI", AGENT, "a_caller_without_sip_uri_is_a_caller"),
    ("CVE-2021-43611: a display name that ends in a backslash", PARSING, "broken_addresses_are_answered_400"),
    ("negative Content-Length", PARSING, "stream_refuses_bad_content_length_before_it_allocates"),
    ("memory by Content-Length before the limit", LIMITS, "too_much_is_refused_before_it_is_kept"),
    ("headers without end", PARSING, "endless_header_is_cut_off"),
    ("messages sent drop by drop", LIMITS, "a_message_sent_drop_by_drop_ends_its_connection"),
    ("pjproject #2016: no branch, an endless CSeq", "sip/message/test_hostile_values.py", "what_is_refused"),
    (
        "CVE-2026-28799: SUBSCRIBE with Expires 0",
        "sip/user_agent/test_subscriptions.py",
        "a_subscription_of_no_time_tells_the_state_once",
    ),
    ("no branch", "sip/transaction/test_transactions.py", "requests_without_branch_match_by_the_rest"),
    # SIPS
    (
        "sips over a registered flow without TLS",
        "sip/user_agent/test_sips.py",
        "a_proxy_sends_sips_down_secure_flows_only",
    ),
    (
        "sips by a dialog's flow without TLS",
        "sip/user_agent/test_sips.py",
        "a_user_agent_sends_no_sips_request_by_a_flow_without_tls",
    ),
    ("a sips Contact over a hop without TLS", "sip/registrar/test_registrar.py", "sips_contact_needs_sips_all_the_way"),
]


@pytest.mark.parametrize(("pitfall", "file", "name"), PITFALLS, ids=[name for _, _, name in PITFALLS])
def test_every_pitfall_has_its_test(pitfall: str, file: str, name: str) -> None:
    functions = {
        one.name
        for one in ast.walk(ast.parse((TESTS / file).read_text()))
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert f"test_{name}" in functions, f"nothing shows that we are free of this: {pitfall}"
