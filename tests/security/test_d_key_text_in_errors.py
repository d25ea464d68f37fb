"""No text of a key gets out by errors, Warning headers, reprs or tracebacks, however damaged the line that has it."""

from __future__ import annotations

import base64
import random
import traceback
from collections.abc import Callable, Iterator

import pytest

from sdp import AudioNegotiation, CryptoAttribute, Line, LocalMedia, NegotiationError, SdpError, SessionDescription
from sdp.dtls import DtlsCertificate, DtlsSrtp
from sdp.mikey import KeyMgmtAttribute, parse_key_mgmt_header
from sdp.mikey.key_mgmt import take_key_mgmt
from sdp.sdescriptions.crypto_attribute import crypto_subject
from sdp.sdescriptions.inline_key import InlineKey, parse_key_params
from sdp.sdescriptions.session_parameters import SessionParameters
from sip import Response
from srtp import SecretBytes

PIECE = 6  # characters in a row that give a key away
MUTANTS = 1200  # of each line


def key_text(length: int, seed: int) -> str:
    return base64.b64encode(random.Random(seed).randbytes(length)).decode()


KEYS = [key_text(length, length) for length in (30, 44, 46, 28, 120)]
# Without + and / a key is a token, and fits wherever names do.
KEYS += [text.replace("+", "x").replace("/", "y").rstrip("=") for text in KEYS]
CRYPTO = [
    f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEYS[0]}",
    f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEYS[0]}|2^20|1:4 KDR=1 WSH=256",
    f"2 AEAD_AES_256_GCM inline:{KEYS[1]}|1:4;inline:{KEYS[6]}|2:4 UNENCRYPTED_SRTCP",
    f"3 AES_256_CM_HMAC_SHA1_80 inline:{KEYS[2]} FEC_ORDER=FEC_SRTP FEC_KEY=inline:{KEYS[7]}",
    f"4 AES_CM_128_HMAC_SHA1_32 inline:{KEYS[5]} -vendor={KEYS[8]}",
]
KEY_MGMT = [f"mikey {KEYS[4]}", f"mikey {KEYS[9]}", f"keyp1 {KEYS[3]}"]
HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"


def mutants(line: str, seed: int, count: int = MUTANTS) -> Iterator[str]:
    """Damaged forms of a line: characters changed, fields moved, joined, doubled, put in each other's place."""
    chance = random.Random(seed)
    for _ in range(count):
        text = line
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(text) + 1) if text else 0
            fields = text.split(" ")
            kind = chance.randrange(9)
            if kind == 0:
                text = text[:at] + chance.choice(" :|;=^-_+/,.") + text[at:]
            elif kind == 1:
                text = text[:at] + text[at + chance.randint(1, 9) :]
            elif kind == 2:
                chance.shuffle(fields)
                text = " ".join(fields)
            elif kind == 3:
                text = text.replace(chance.choice(["inline:", "inline", " ", "|", "=", ";", "mikey"]), "", 1)
            elif kind == 4:
                text = text.replace(chance.choice([":", "|", " ", "="]), chance.choice(["|", " ", ":", "=", ";"]), 1)
            elif kind == 5:
                fields.insert(chance.randrange(len(fields) + 1), chance.choice(fields))
                text = " ".join(fields)
            elif kind == 6:
                text = text[at:] + text[:at]
            elif kind == 7:
                text = text.swapcase()
            else:
                text += chance.choice([" ", "|", "=", ";"]) + chance.choice(KEYS)
        yield text.replace("\r", "").replace("\n", "")


def pieces_of(keys: list[str]) -> frozenset[str]:
    texts = [form for key in keys for form in (key, key.swapcase())]
    return frozenset(text[at : at + PIECE] for text in texts for at in range(len(text) - PIECE + 1))


PIECES = pieces_of(KEYS)


def assert_silent(said: str) -> None:
    found = next((said[at : at + PIECE] for at in range(len(said)) if said[at : at + PIECE] in PIECES), None)
    assert found is None, f"{found!r} of a key is in {said!r}"


def words_of(error: BaseException) -> str:
    more = getattr(error, "refusals", ())
    return f"{error}\n{error!r}\n{more!r}\n" + "".join(traceback.format_exception(error)[-1:])


def use(call: Callable[[], object]) -> bool:
    """Whether it raised; whatever it did, it told no key."""
    try:
        assert_silent(repr(call()))
    except SdpError as error:
        assert_silent(words_of(error))
        return True
    return False


def offer(line: str, *, profile: str = "RTP/SAVP") -> str:
    return f"{HEAD}m=audio 4000 {profile} 0\r\na={line}\r\n"


@pytest.mark.parametrize("line", CRYPTO)
@pytest.mark.parametrize("place", ["offer", "preferred", "answer", "other method"])
def test_crypto_lines(line: str, place: str) -> None:
    local = LocalMedia("192.0.2.9", 5000, security="preferred" if place == "preferred" else "required")  # type: ignore[arg-type]
    if place == "other method":
        local = LocalMedia("192.0.2.9", 5000, keying=(DtlsSrtp(DtlsCertificate.generate()),))
    refused = 0
    for mutant in mutants(line, 1, MUTANTS // 4):
        negotiation = AudioNegotiation(local)
        if place == "answer":
            negotiation.create_offer()
            refused += use(lambda n=negotiation, m=mutant: n.receive_answer(offer(f"crypto:{m}")))  # type: ignore[misc]
        else:
            refused += use(lambda n=negotiation, m=mutant: n.receive_offer(offer(f"crypto:{m}")))  # type: ignore[misc]
    assert refused


@pytest.mark.parametrize("line", CRYPTO)
def test_crypto_attributes(line: str) -> None:
    refused = 0
    for mutant in mutants(line, 2):
        assert_silent(crypto_subject(mutant))
        assert_silent(repr(Line("a", f"crypto:{mutant}")))
        refused += use(lambda m=mutant: CryptoAttribute.parse(m))  # type: ignore[misc]
        use(lambda m=mutant: CryptoAttribute.parse(m).check_valid())  # type: ignore[misc]
        use(lambda m=mutant: SessionParameters.parse(tuple(m.split(" "))))  # type: ignore[misc]
    assert refused > MUTANTS / 10


@pytest.mark.parametrize("line", [line.split(" ")[2] for line in CRYPTO])
def test_inline_keys(line: str) -> None:
    refused = 0
    for mutant in mutants(line, 3):
        refused += use(lambda m=mutant: InlineKey.parse(m))  # type: ignore[misc]
        use(lambda m=mutant: parse_key_params(m))  # type: ignore[misc]
    assert refused > MUTANTS / 10


@pytest.mark.parametrize("line", KEY_MGMT)
def test_key_mgmt_lines(line: str) -> None:
    refused = 0
    for mutant in mutants(line, 4):
        refused += use(lambda m=mutant: KeyMgmtAttribute.parse(m))  # type: ignore[misc]
        description = SessionDescription.parse(offer(f"key-mgmt:{mutant}"))
        use(lambda d=description: take_key_mgmt(d, d.media[0]))  # type: ignore[misc]
        use(lambda m=mutant: AudioNegotiation(LocalMedia("192.0.2.9", 5000)).receive_offer(offer(f"key-mgmt:{m}")))  # type: ignore[misc]
    assert refused > MUTANTS / 10


def test_key_mgmt_headers() -> None:
    header = f'prot=mikey; uri="rtsp://192.0.2.1/x"; data="{KEYS[0]}", prot=keyp1; data="{KEYS[5]}"'
    assert sum(use(lambda m=mutant: parse_key_mgmt_header(m)) for mutant in mutants(header, 5, 4 * MUTANTS)) > MUTANTS  # type: ignore[misc]


@pytest.mark.parametrize("damage", [f"m=audio 4000 inline:{KEYS[0]} 0", f"m={KEYS[5]} 4000 RTP/SAVP 0"])
def test_media_lines_that_swallowed_a_key(damage: str) -> None:
    text = f"{HEAD}{damage}\r\na=crypto:{CRYPTO[0]}\r\n"
    assert use(lambda: AudioNegotiation(LocalMedia("192.0.2.9", 5000)).receive_offer(text))


def test_a_version_that_is_a_key() -> None:
    with pytest.raises(SdpError) as caught:
        SessionDescription.parse(f"v={KEYS[0]}\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n")
    assert_silent(words_of(caught.value))


def test_what_is_wrong_is_said_by_place_and_length() -> None:
    """Without content an error still says where to look."""
    for line, words in (
        (f"{KEYS[0]} AES_CM_128_HMAC_SHA1_80 inline:{KEYS[0]}", "field 1, of 40 characters"),
        (f"1 {KEYS[0]}/ inline:{KEYS[0]}", "field 2, of 41 characters"),
        (f"1 AES_CM_128_HMAC_SHA1_80 {KEYS[0]}", "key method, of 40 characters"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEYS[0]}!", "the key, of 41 characters"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEYS[0]}|{KEYS[1]}", f"the lifetime, of {len(KEYS[1])} characters"),
    ):
        with pytest.raises(SdpError, match=words):
            CryptoAttribute.parse(line)
    with pytest.raises(NegotiationError, match=r"a=crypto:7 \(a suite of 7 characters\): the crypto suite is"):
        AudioNegotiation(LocalMedia("192.0.2.9", 5000)).receive_offer(offer(f"crypto:7 AES_FOO inline:{KEYS[0]}"))


@pytest.mark.parametrize(
    "line",
    [
        f"a=cryptoscale:1 client AES_CM_128_HMAC_SHA1_80 inline:{KEYS[0]}|2^31|1:1",
        f"a=CRYPTO:1 AES_CM_128_HMAC_SHA1_80 INLINE:{KEYS[0]}",
        f"a=x-vendor:7 inline:{KEYS[5]}",
        f"a=x-vendor-key inline {KEYS[5]}",
        f"a=acap:1 crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEYS[0]}",
        f"a= crypto:1 AES_CM_128_HMAC_SHA1_80 {KEYS[0]}",
        f"a=key-mgmt:mikey {KEYS[4]}",
        f"k=base64:{KEYS[0]}",
        f"i=a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEYS[0]}",
        f"a=ice-pwd:{KEYS[5]}",
    ],
)
@pytest.mark.parametrize("level", ["session", "media"])
def test_reprs_of_descriptions(line: str, level: str) -> None:
    media = "m=audio 4000 RTP/SAVP 0\r\n"
    text = HEAD + (f"{line}\r\n{media}" if level == "session" else f"{media}{line}\r\n")
    description = SessionDescription.parse(text)
    for value in (
        description,
        *description.media,
        *description.lines,
        *(one for m in description.media for one in m.lines),
    ):
        assert_silent(repr(value))
        assert_silent(str(value))
    assert_silent(repr(Response(200, "OK", body=text.encode())))
    local = LocalMedia("192.0.2.9", 5000, attributes=(Line(line[0], line[2:]),))
    assert_silent(repr(local))


def test_reprs_of_what_was_read() -> None:
    for line in CRYPTO:
        attribute = CryptoAttribute.parse(line)
        assert_silent(repr(attribute))
        assert_silent(repr(SessionParameters.parse(attribute.session_params)))
    assert_silent(repr(InlineKey(SecretBytes(base64.b64decode(KEYS[0])))))
    assert_silent(repr(KeyMgmtAttribute(KEYS[5], base64.b64decode(KEYS[0]))))
