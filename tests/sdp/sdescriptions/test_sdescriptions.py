"""One a=crypto attribute (RFC 4568 6 and 9): what is taken, what is refused, and why."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdp import CryptoAttribute, CryptoAttributeError, InlineKey
from sdp.sdescriptions.policy import policy_of
from srtp import SecretBytes

KEY = bytes(range(30))
B64 = base64.b64encode(KEY).decode()
SUITE = "AES_CM_128_HMAC_SHA1_80"


def parse(rest, *, suite=SUITE):
    return CryptoAttribute.parse(f"1 {suite} {rest}")


def code_of(rest, **more):
    with pytest.raises(CryptoAttributeError) as error:
        policy_of(parse(rest, **more))
    assert B64 not in str(error.value)
    return error.value.code


def test_examples_of_the_rfc():
    one = CryptoAttribute.parse("1 AES_CM_128_HMAC_SHA1_80 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj|2^20|1:32")
    assert (one.tag, one.crypto_suite) == (1, SUITE)
    assert one.keys[0].lifetime == 1 << 20
    assert one.keys[0].mki == bytes(31) + b"\1"
    two = CryptoAttribute.parse(
        "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4 FEC_ORDER=FEC_SRTP"
    )
    assert two.session_params == ("FEC_ORDER=FEC_SRTP",)
    # 9.2's F8 example has white space behind the semicolon.
    f8 = CryptoAttribute.parse(
        "1 F8_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5QUJjZGVm|2^20|1:4; "
        "inline:QUJjZGVmMTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5|2^20|2:4 FEC_ORDER=FEC_SRTP"
    )
    assert [key.mki for key in f8.keys] == [b"\0\0\0\1", b"\0\0\0\2"]


@pytest.mark.parametrize(
    ("rest", "lifetime", "mki"),
    [
        ("", None, b""),
        ("|2^31", 1 << 31, b""),
        ("|2^48", 1 << 48, b""),
        ("|1", 1, b""),
        ("|1:1", None, b"\1"),
        ("|2^31|1:1", 1 << 31, b"\1"),
        ("|1000|255:4", 1000, b"\0\0\0\xff"),
        ("|1:128", None, bytes(127) + b"\1"),
    ],
)
def test_lifetime_and_mki(rest, lifetime, mki):
    key = parse(f"inline:{B64}{rest}").keys[0]
    assert (bytes(key.key_and_salt), key.lifetime, key.mki) == (KEY, lifetime, mki)
    assert InlineKey.parse(key.serialize()) == key


def test_unpadded_base64_is_taken():
    material = bytes(46)
    padded = base64.b64encode(material).decode()
    assert padded.endswith("=")
    for text in (padded, padded.rstrip("=")):
        assert bytes(parse(f"inline:{text}", suite="AES_CM_256_HMAC_SHA1_80").keys[0].key_and_salt) == material


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        (f"inline:{B64[:-4]}", "key-length"),
        (f"inline:{B64}AAAA", "key-length"),
        ("inline:", "base64"),
        ("inline:!!!!", "base64"),
        (f"other:{B64}", "key-method"),
        (f"inline:{B64}|0", "lifetime"),
        (f"inline:{B64}|01", "lifetime"),
        (f"inline:{B64}|2^49", "lifetime"),
        (f"inline:{B64}|281474976710657", "lifetime"),
        (f"inline:{B64}|-1", "lifetime"),
        (f"inline:{B64}|1:0", "mki"),
        (f"inline:{B64}|1:129", "mki"),
        (f"inline:{B64}|256:1", "mki"),
        (f"inline:{B64}|1:", "mki"),
        (f"inline:{B64}|1|1:1|x", "syntax"),
        (f"inline:{B64};inline:{B64[::-1]}", "mki"),
        (f"inline:{B64}|1:1;inline:{B64[::-1]}|1:2", "mki"),
        (f"inline:{B64}|1:1;inline:{B64[::-1]}|1:1", "mki"),
        (f"inline:{B64} UNENCRYPTED_SRTP", "weakened"),
        (f"inline:{B64} UNENCRYPTED_SRTCP", "weakened"),
        (f"inline:{B64} UNAUTHENTICATED_SRTP", "weakened"),
        (f"inline:{B64} KDR=25", "session-parameter"),
        (f"inline:{B64} FEC_KEY=inline:{B64}", "session-parameter"),
        (f"inline:{B64} WSH=63", "session-parameter"),
        (f"inline:{B64} something-new", "session-parameter"),
        # Found by fuzzing: written again it would read as one more key.
        (f"inline:{B64} -x; -y", "syntax"),
    ],
)
def test_refused_with_a_reason(rest, code):
    assert code_of(rest) == code


@pytest.mark.parametrize("rest", ["", " KDR=0", " WSH=64", " -ignorable=yes"])
def test_harmless_parameters_are_taken(rest):
    assert policy_of(parse(f"inline:{B64}{rest}"))


@pytest.mark.parametrize(
    "value", ["", "1", "1 X", f"x {SUITE} inline:{B64}", f"1234567890 {SUITE} inline:{B64}", f"1 A-B inline:{B64}"]
)
def test_not_an_attribute(value):
    with pytest.raises(CryptoAttributeError):
        CryptoAttribute.parse(value)


def test_unknown_suite_is_refused():
    assert code_of(f"inline:{B64}", suite="AES_CM_999_HMAC_MD5") == "suite"


def test_key_is_never_shown():
    attribute = parse(f"inline:{B64}")
    assert B64 not in repr(attribute)
    assert B64 not in attribute.subject


@given(
    st.integers(0, 999999999),
    st.binary(min_size=30, max_size=30),
    st.none() | st.integers(1, 1 << 48),
    st.integers(0, 128).flatmap(lambda n: st.binary(min_size=n, max_size=n)),
)
def test_round_trip(tag, material, lifetime, mki):
    if mki and not any(mki):
        mki = mki[:-1] + b"\1"
    attribute = CryptoAttribute(tag, SUITE, (InlineKey(SecretBytes(material), lifetime, mki),))
    assert CryptoAttribute.parse(attribute.serialize()) == attribute


@given(st.text(max_size=100))
def test_any_text_fails_cleanly(text):
    for value in (text, f"1 {SUITE} {text}", f"1 {SUITE} inline:{B64}{text}"):
        try:
            policy_of(CryptoAttribute.parse(value))
        except CryptoAttributeError:
            continue
