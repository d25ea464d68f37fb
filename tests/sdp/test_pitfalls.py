"""What went wrong in other implementations of SDP keying and its downgrades, and the test of ours for each.

The table is checked: a test that is renamed or removed is missed here.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

SDES, NEGOTIATION = "sdp/sdescriptions/test_keying_sdescriptions.py", "sdp/negotiation/test_session_negotiation.py"
FINGERPRINT, CONNECTION = "sdp/dtls/test_fingerprint.py", "sdp/dtls/test_dtls_connection.py"
STREAM = "securertc/media/test_media_stream.py"
AUTHENTICATION = "sdp/mikey/test_authentication.py"

PITFALLS = [
    # sdescriptions
    (
        "lifetime and MKI are dropped; the whole parameter is read as base64",
        "sdp/sdescriptions/test_sdescriptions.py",
        "lifetime_and_mki",
    ),
    ("only keys of 30 bytes", "sdp/sdescriptions/test_crypto_policy.py", "every_suite_from_offer_to_packets"),
    ("the tag of a refused line is remembered", SDES, "the_tag_of_a_refused_line_is_not_remembered"),
    ("the lifetime is read and not enforced", "sdp/sdescriptions/test_crypto_policy.py", "the_lifetime_is_kept"),
    ("an answer with our own key", SDES, "our_own_key_reflected_is_not_taken"),
    ("one key in two lines or streams", SDES, "a_key_that_stands_elsewhere_too_is_not_taken"),
    ("parameters that weaken are taken unasked", SDES, "weakening_parameters_are_refused_by_default"),
    ("an unknown mandatory parameter is passed over", SDES, "an_unknown_or_malformed_parameter_makes_the_line_invalid"),
    ("a re-INVITE resets the ROC", NEGOTIATION, "a_refresh_keeps_keys_and_a_new_address_or_a_wish_changes_them"),
    (
        "further keys of a line are dropped",
        "sdp/sdescriptions/test_crypto_policy.py",
        "packets_under_each_key_of_a_line_are_taken_by_their_mki",
    ),
    ("no change of keys with the address", NEGOTIATION, "the_answerer_that_moves_takes_a_new_key"),
    ("a refused re-offer ends what was agreed", NEGOTIATION, "a_rejected_reoffer_leaves_what_was_agreed"),
    ("packets under the former key are lost", STREAM, "a_new_key_keeps_the_stream_and_takes_stragglers"),
    ("old packets again restart the stream", STREAM, "replays_are_dropped_and_counted"),
    ("the CNAME tells who it is", STREAM, "every_stream_has_its_own_ssrc_and_cname"),
    ("FEC_KEY is passed over", SDES, "fec_has_a_key_of_its_own_where_it_has_an_address_of_its_own"),
    # Downgrades
    ("RTP Bleed: media from anywhere", STREAM, "plain_media_is_taken_from_the_signalled_address_only"),
    ("a replay draws secured media elsewhere", STREAM, "authenticated_media_moves_the_address_once"),
    ("a stream offered twice is taken in clear", NEGOTIATION, "of_a_stream_offered_twice_the_secured_one_is_taken"),
    (
        "a group carries a stream in clear",
        "sdp/negotiation/test_bundle.py",
        "no_stream_is_carried_with_less_security_than_it_asks_for",
    ),
    ("a forged mid draws a stream away", "securertc/media/test_media_bundle.py", "forged_packets_teach_nothing"),
    (
        "RTP/AVP is taken where SRTP is mandatory",
        "sdp/negotiation/test_offer_answer.py",
        "required_and_nothing_acceptable",
    ),
    ("one way in clear when the peer has no crypto", SDES, "a_peer_without_crypto_is_refused_under_required"),
    ("the peer's profile alone turns encryption off", NEGOTIATION, "a_secured_stream_never_goes_on_in_clear"),
    (
        "keys that are still to come fall back to clear",
        "sdp/keying/test_keying.py",
        "what_is_pending_never_goes_on_in_clear",
    ),
    ("media before the keys", "securertc/media/test_dtls_media.py", "nothing_leaves_before_the_keys_are_there"),
    ("the RTCP BYE goes out in clear", STREAM, "rtcp_is_protected_the_goodbye_included"),
    ("a packet that does not open is used", STREAM, "forged_packets_change_nothing"),
    ("a call is talked into clear", "securertc/call/test_calls.py", "a_secured_call_cannot_be_talked_into_clear"),
    ("an overflow by ptime", "sdp/negotiation/test_offer_answer.py", "a_packet_time_that_cannot_be_is_not_taken"),
    ("10 MB of SDP", SDES, "ten_megabytes_are_refused_without_being_read"),
    # DTLS-SRTP
    ("fingerprints are not enforced", CONNECTION, "a_certificate_that_was_not_signalled"),
    ("a fingerprint is compared with itself", FINGERPRINT, "our_own_fingerprint_coming_back"),
    ("an empty list, or unknown hashes only", FINGERPRINT, "an_empty_list_and_unknown_hashes_verify_nothing"),
    ("of several hashes one is enough", FINGERPRINT, "every_supported_hash_must_match"),
    ("lower-case names of hashes are passed over", CONNECTION, "fingerprints_in_lower_case_are_the_same"),
    ("no certificate of the client", CONNECTION, "a_client_without_a_certificate_or_without_use_srtp"),
    ("the race of ClientHellos, CVE-2023-51443", CONNECTION, "a_strangers_hello_changes_nothing"),
    ("a second ClientHello begins anew", CONNECTION, "a_second_hello_does_not_begin_anew"),
    ("forged alerts end an association", CONNECTION, "an_established_association_outlives_forged_alerts"),
    # MIKEY
    ("the MAC is stripped to NULL", AUTHENTICATION, "a_mac_stripped_to_null_is_refused"),
    ("encryption is stripped to NULL", AUTHENTICATION, "null_encryption_is_refused"),
    ("an I_MESSAGE is replayed", AUTHENTICATION, "a_replayed_message_is_refused"),
    ("our own message is reflected", AUTHENTICATION, "a_reflected_message_is_refused"),
    ("a group that is too weak", AUTHENTICATION, "group_1_is_refused_unless_allowed"),
    ("DH values of 0, 1 and p-1", AUTHENTICATION, "values_that_give_a_known_key_are_refused"),
    ("timestamps out of skew", AUTHENTICATION, "a_timestamp_out_of_skew_is_refused"),
    ("a protocol is peeled off the offer", "sdp/mikey/test_key_mgmt.py", "a_peeled_off_protocol_is_found_out"),
]


@pytest.mark.parametrize(("pitfall", "file", "name"), PITFALLS, ids=[name for _, _, name in PITFALLS])
def test_every_pitfall_has_its_test(pitfall: str, file: str, name: str) -> None:
    tree = ast.parse((TESTS / file).read_text())
    functions = {one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert f"test_{name}" in functions, f"nothing shows that we are free of this: {pitfall}"
