"""Security descriptions by offer and answer (RFC 4568 5 to 7): what peers did wrong, and what must not be taken."""

from __future__ import annotations

import base64
import re
import tracemalloc

import pytest

from sdp import (
    LocalMedia,
    MediaSecurity,
    NegotiationError,
    Sdescriptions,
    SdpError,
    SdpParseError,
    SessionDescription,
    SessionNegotiation,
)
from sdp.keying.method import LocalSection, RemoteSection
from sdp.sdescriptions.session_parameters import SessionParameters

SUITE = "AES_CM_128_HMAC_SHA1_80"
SHORT = "AES_CM_128_HMAC_SHA1_32"
KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
OTHER_KEY = "NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj"
HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
LOCAL = LocalSection(0, "RTP/SAVP", "192.0.2.1", 4000)


def section(*lines, protocol="RTP/SAVP", session=HEAD):
    return f"{session}m=audio 5000 {protocol} 0\r\n" + "".join(f"a=crypto:{line}\r\n" for line in lines)


def remote(*lines, more=""):
    description = SessionDescription.parse(section(*lines) + more)
    return RemoteSection(description, 0, description.media[0])


def codes(examined):
    return [refusal.code for refusal in examined.refusals]


def side(security=MediaSecurity.REQUIRED, **more):
    return SessionNegotiation([LocalMedia("192.0.2.1", 4000, security=security, **more)])


def test_mki_and_lifetime_in_an_offer_are_kept_as_they_are():
    """Peers drop the MKI and then cannot read a packet, or fail on `|2^31|1:1`."""
    examined = Sdescriptions().receive_offer(remote(f"1 {SUITE} inline:{KEY}|2^31|1:1"))
    answer = examined.proposal.create_answer(LOCAL)
    assert answer.result.inbound.mki == b"\1"
    assert answer.result.outbound.mki == b""
    assert answer.result.lifetime == 1 << 31


def test_the_tag_of_a_refused_line_is_not_remembered():
    examined = Sdescriptions().receive_offer(
        remote(f"1 AES_CM_999 inline:{KEY}", f"2 {SUITE} inline:x", f"3 {SUITE} inline:{OTHER_KEY}")
    )
    assert codes(examined) == ["suite", "base64"]
    assert examined.proposal.taken == (f"a=crypto:3 {SUITE}",)
    [line] = examined.proposal.create_answer(LOCAL).lines.media
    assert line.value.startswith(f"crypto:3 {SUITE} ")


@pytest.mark.parametrize(
    "parameter",
    ["KDR", "KDR=25", "KDR=01", "WSH=63", "WSH", "FEC_ORDER=X", "UNENCRYPTED_SRTP=1", "NEW", "NEW=1", "WSH=64 WSH=64"],
)
def test_an_unknown_or_malformed_parameter_makes_the_line_invalid(parameter):
    """Some peers ignore them, and with them what the sender does to its packets."""
    examined = Sdescriptions().receive_offer(remote(f"1 {SUITE} inline:{KEY} {parameter}"))
    assert examined.proposal is None
    assert codes(examined) == ["session-parameter"]


@pytest.mark.parametrize("flag", ["UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP"])
def test_weakening_parameters_are_refused_by_default(flag):
    examined = Sdescriptions().receive_offer(remote(f"1 {SUITE} inline:{KEY} {flag}", f"2 {SHORT} inline:{OTHER_KEY}"))
    assert codes(examined) == ["weakened"]
    assert examined.proposal.taken == (f"a=crypto:2 {SHORT}",)
    offer = Sdescriptions().create_offer(LOCAL)
    with pytest.raises(NegotiationError) as error:
        offer.receive_answer(remote(f"1 {SUITE} inline:{KEY} {flag}"))
    assert error.value.refusals[0].code == "weakened"


def test_parameters_that_change_nothing_are_taken():
    examined = Sdescriptions().receive_offer(remote(f"1 {SUITE} inline:{KEY} WSH=1000 FEC_ORDER=FEC_SRTP -NEW=x KDR=0"))
    answer = examined.proposal.create_answer(LOCAL)
    assert answer.result.inbound.rtp_window == 1000
    assert "NEW" not in answer.lines.media[0].value  # declarative: not echoed
    assert "WSH" not in answer.lines.media[0].value


def test_fec_streams_are_refused_and_their_key_hidden():
    line = f"1 {SUITE} inline:{KEY} FEC_KEY=inline:{OTHER_KEY}"
    for refused in (line, f"1 {SUITE} inline:{KEY} FEC_ORDER=SRTP_FEC"):
        examined = Sdescriptions().receive_offer(remote(refused))
        assert codes(examined) == ["session-parameter"]
        assert OTHER_KEY not in repr(examined)
    parsed = SessionParameters.parse(("WSH=64", f"FEC_KEY=inline:{OTHER_KEY}|2^20|1:4", "-x", "KDR=24"))
    assert SessionParameters.parse(parsed.serialize()) == parsed
    assert parsed.key_derivation_rate == 1 << 24


FEC = "a=rtpmap:78 parityfec/8000\r\na=fmtp:78 {}\r\n"
FEC_KEY = f"FEC_KEY=inline:{OTHER_KEY}|2^20"


@pytest.mark.parametrize(
    ("place", "parameter", "taken"),
    [
        ("5006 IN IP4 192.0.2.9", f" {FEC_KEY}", True),
        ("5006 IN IP4 192.0.2.9", "", False),  # "An FEC_KEY MUST be specified"
        ("5000 IN IP4 192.0.2.77", f" {FEC_KEY}", True),
        ("5000 IN IP4 192.0.2.77", "", False),
        ("5000 IN IP4 192.0.2.9", f" {FEC_KEY}", False),  # "MUST NOT be specified"
        ("5000 IN IP4 192.0.2.9", " FEC_ORDER=FEC_SRTP", True),
        ("5000 IN IP4 192.0.2.9", " FEC_ORDER=SRTP_FEC", False),
        ("5006 IN IP4 192.0.2.9", f" FEC_ORDER=FEC_SRTP {FEC_KEY}", True),
        ("5006 IN IP4 192.0.2.9", f" FEC_KEY=inline:{KEY}", False),  # a key of the media's too
        ("5006 IN IP4 192.0.2.9", " FEC_KEY=inline:AAAA", False),
        ("5006 IN IP4 192.0.2.9", f" {FEC_KEY} {FEC_KEY}", False),
        ("mode=1", f" {FEC_KEY}", False),
        ("", "", True),
    ],
)
def test_fec_has_a_key_of_its_own_where_it_has_an_address_of_its_own(place, parameter, taken):
    """RFC 4568 6.3.5, and RFC 2733 11.1 for where FEC goes."""
    text = (
        "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
        f"m=audio 5000 RTP/SAVP 0 78\r\n{FEC.format(place)}a=crypto:1 {SUITE} inline:{KEY}{parameter}\r\n"
    )
    two = SessionNegotiation([LocalMedia("192.0.2.1", 4000)])
    if taken:
        two.receive_offer(text)
        answer = two.create_answer()
        assert "m=audio 4000 RTP/SAVP 0\r\n" in answer  # FEC is not done here, the media is
        assert "FEC" not in answer  # declarative: ours to say, not to echo
        agreed = two.agreement.media[0]
        assert bytes(agreed.inbound.master_key) == base64.b64decode(KEY)[:16]
        assert OTHER_KEY not in repr(agreed)
        return
    with pytest.raises(NegotiationError) as error:
        two.receive_offer(text)
    assert error.value.refusals[-1].code in ("session-parameter", "key-reuse", "key-length")
    assert KEY not in str(error.value)
    assert OTHER_KEY not in str(error.value)


@pytest.mark.parametrize(
    "elsewhere",
    [
        f"a=crypto:2 {SHORT} inline:{KEY}\r\n",
        f"m=video 5002 RTP/SAVP 99\r\na=crypto:1 {SUITE} inline:{KEY}|2^20\r\n",
        f"m=video 5002 RTP/SAVP 99\r\na=crypto:1 {SUITE} inline:{OTHER_KEY} FEC_KEY=inline:{KEY}\r\n",
        f"m=video 0 RTP/SAVP 99\r\na=crypto:1 X inline:{KEY}|x\r\n",
    ],
)
def test_a_key_that_stands_elsewhere_too_is_not_taken(elsewhere):
    examined = Sdescriptions().receive_offer(remote(f"1 {SUITE} inline:{KEY}", more=elsewhere))
    assert examined.proposal is None
    assert set(codes(examined)) == {"key-reuse"}


def test_our_own_key_reflected_is_not_taken():
    """In the answer to it, and in a later offer: both directions would share keystream."""
    one, two = side(), side()
    two.receive_offer(one.create_offer())
    one.receive_answer(two.create_answer())
    offer = one.create_offer()
    ours = re.search("a=crypto:1 .*\r\n", offer)[0]
    with pytest.raises(NegotiationError) as error:
        one.receive_answer(re.sub("(a=crypto:.*\r\n)+", ours, offer))
    assert error.value.refusals[0].code == "own-key"
    one.withdraw()
    with pytest.raises(NegotiationError) as error:
        one.receive_offer(re.sub("(a=crypto:.*\r\n)+", ours, offer))
    assert "own-key" in [refusal.code for refusal in error.value.refusals]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (f"2 {SUITE} inline:{KEY}", "not-offered"),
        (f"1 {SHORT} inline:{KEY}", "not-offered"),
        (f"1 {SUITE} inline:{KEY[:-4]}", "key-length"),
        (f"1 {SUITE} inline:{KEY}|1:0", "mki"),
        (f"1 {SUITE} inline:{KEY} NEW", "session-parameter"),
    ],
)
def test_answers_that_do_not_echo_what_was_offered(line, code):
    with pytest.raises(NegotiationError) as error:
        Sdescriptions().create_offer(LOCAL).receive_answer(remote(line))
    assert [refusal.code for refusal in error.value.refusals] == [code]
    assert error.value.status == 488
    assert KEY[:-4] not in str(error.value)


def test_new_mkis_differ_from_those_in_force():
    method = Sdescriptions(mki_length=1)
    previous = method.receive_offer(remote(f"1 {SUITE} inline:{KEY}")).proposal.create_answer(LOCAL).result
    seen = [previous.outbound.mki]
    for _ in range(300):
        local = LocalSection(0, "RTP/SAVP", "192.0.2.1", 4000, previous, fresh=True)
        proposal = method.receive_offer(remote(f"1 {SUITE} inline:{KEY}")).proposal
        result = proposal.create_answer(local).result
        assert result.outbound.mki != previous.outbound.mki
        assert any(result.outbound.mki)
        assert result.outbound.master_key != previous.outbound.master_key
        previous = result
        seen.append(result.outbound.mki)
    assert len(set(seen)) == 255


def test_opportunistic_srtp():
    """RFC 8643: RTP/AVP with a=crypto is answered by RTP/AVP with a=crypto; RTP/AVP alone stays plain."""
    two = side(MediaSecurity.PREFERRED)
    two.receive_offer(section(f"1 {SUITE} inline:{KEY}", protocol="RTP/AVPF"))
    answer = two.create_answer()
    assert "RTP/AVPF 0" in answer
    assert f"a=crypto:1 {SUITE}" in answer
    one = side(MediaSecurity.PREFERRED)
    one.create_offer()
    assert not one.receive_answer(section(protocol="RTP/AVP")).media[0].secured


@pytest.mark.parametrize("protocol", ["RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVPF"])
def test_a_peer_without_crypto_is_refused_under_required(protocol):
    """diago#129 went on with encryption in one direction, baresip#641 took the call."""
    for text in (section(protocol=protocol), section(protocol=protocol) + "a=fingerprint:sha-256 AA:BB\r\n"):
        with pytest.raises(NegotiationError):
            side().receive_offer(text)
    one = side()
    offer = one.create_offer()
    with pytest.raises(NegotiationError):
        one.receive_answer(re.sub("a=crypto.*\r\n", "", offer))


@pytest.mark.parametrize(
    "make",
    [
        lambda: "x" * 10_000_000,
        lambda: HEAD + "a=x\r\n" * 2_000_000,
        lambda: section(*[f"1 {SUITE} inline:{KEY}"] * 170_000),
        lambda: (HEAD + "m=audio 5 RTP/SAVP 0\r\n" * 450_000).encode(),
    ],
)
def test_ten_megabytes_are_refused_without_being_read(make):
    text = make()
    assert len(text) >= 9_000_000
    tracemalloc.start()
    try:
        with pytest.raises(SdpParseError):
            side().receive_offer(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_the_longest_descriptions_are_bounded_in_work():
    """What fits 64 kB: many lines, many keys in one line, many sections of which each looks at all keys."""
    keys = [base64.b64encode(number.to_bytes(30, "big")).decode() for number in range(1, 1100)]
    many_keys = ";".join(f"inline:{key}|{number}:2" for number, key in enumerate(keys, 1))
    lines = "".join(f"a=crypto:{n} {SUITE} inline:{key}\r\n" for n, key in enumerate(keys[:700]))
    sections = "".join(
        f"m=audio {5000 + n} RTP/SAVP 9\r\na=crypto:1 X inline:{key}\r\n" * 1 for n, key in enumerate(keys[:64])
    )
    for text, found in (
        (section(f"1 {SUITE} {many_keys}"), "keys"),
        (section() + lines.replace(SUITE, "X"), "lines"),
        (HEAD + sections, "media"),
    ):
        with pytest.raises(NegotiationError) as error:
            side().receive_offer(text)
        assert found in [refusal.code for refusal in error.value.refusals]
        assert len(error.value.refusals) < 200


@pytest.mark.parametrize(
    "value", ["", "1", "KDR", "-", "=", "=1", "-=", "FEC_KEY=", "FEC_KEY=inline:", "WSH=9" + "9" * 400]
)
def test_odd_parameters_fail_cleanly(value):
    try:
        SessionParameters.parse((value,))
    except SdpError:
        return
    assert value.startswith("-")
