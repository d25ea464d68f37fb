"""Whatever was sealed, import_state() gives a session or StateError: a state can be damaged before it is sealed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from rtp_packets import rtcp, rtp

from srtp import Cryptex, Direction, MasterKey, Policy, Profile, RocCarrying, Session, SrtpError, StateError

OUT, IN = Direction.OUTBOUND, Direction.INBOUND
SSRC = 0xCAFEBABE
SEALING_KEY = bytes(range(32))
HEADER = len(b"securertc-srtp") + 1 + 12
AES, GCM = Profile.AES_CM_128_HMAC_SHA1_80, Profile.AEAD_AES_128_GCM
CASES = 100_000


def key(n: int, mki: bytes = b"", *, salt: int = 14, **more) -> MasterKey:
    return MasterKey(bytes((n,)) * 16, bytes((n + 1,)) * salt, mki, **more)


def with_keys_and_senders() -> Session:
    """MKIs, a policy of one SSRC, senders that run, that were removed, and whose ROC was set."""
    session = Session(Policy.with_keys(AES, [key(1, b"one"), key(2, b"two")]), Policy.with_keys(GCM, [key(3, salt=12)]))
    session.add_policy(7, OUT, Policy.with_keys(GCM, [key(4, salt=12)], cryptex=Cryptex.ON))
    for ssrc in (SSRC, 7, 9, 11):
        session.protect(rtp(40000, ssrc=ssrc))
        session.protect_rtcp(rtcp(ssrc=ssrc))
    session.switch_key(b"two")
    session.remove_key(OUT, b"one")
    session.remove_stream(9, OUT)
    session.set_roc(11, OUT, 3)
    session.protect_rtcp(rtcp(ssrc=13))
    other = Session(Policy.with_keys(GCM, [key(3, salt=12)]), None)
    for n in (1, 5, 80):
        session.unprotect(other.protect(rtp(n)))
    return session


def with_an_overlap() -> Session:
    """An overlap, ranges of indexes, and RFC 4771."""
    ranges = [key(5, valid_to=99), key(6, valid_from=100)]
    session = Session(
        Policy.with_keys(AES, ranges, encrypted_extensions=frozenset((1, 2))),
        Policy.with_keys(AES, [key(7)], roc_carrying=RocCarrying(2, 10)),
    )
    session.rekey(IN, key(8), overlap=10)
    session.protect(rtp(150))
    return session


class Around(NamedTuple):
    """What lies around the JSON of a state: its header in clear, and behind it the keys and salts."""

    header: bytes
    secrets: bytes


def opened(session: Session) -> tuple[Around, Any]:
    """An exported state, and the values in it."""
    sealed = session.export_state(SEALING_KEY)
    plain = AESGCM(SEALING_KEY).decrypt(sealed[HEADER - 12 : HEADER], sealed[HEADER:], sealed[:HEADER])
    end = 4 + int.from_bytes(plain[:4])
    return Around(sealed[:HEADER], plain[end:]), json.loads(plain[4:end])


def imported(around: Around, text: bytes, gap: int = 4096, *, length: int | None = None) -> Session:
    plain = (len(text) if length is None else length).to_bytes(4) + text + around.secrets
    sealed = around.header + AESGCM(SEALING_KEY).encrypt(around.header[-12:], plain, around.header)
    return Session.import_state(sealed, SEALING_KEY, gap=gap)


def use(session: Session) -> None:
    """A session that was restored works, or says why not."""
    for operation, packet in (
        (session.protect, rtp(5000)),
        (session.protect_rtcp, rtcp()),
        (session.unprotect, rtp(5000, payload=bytes(40))),
        (session.unprotect_rtcp, rtcp()),
    ):
        with suppress(SrtpError):
            operation(packet)
    for direction in Direction:
        with suppress(SrtpError):
            session.state(direction)
            session.remove_stream(SSRC, direction)
    session.export_state(SEALING_KEY)


JUNK: list[Any] = [
    *(None, True, False, -1, 0, 1, 2, 63, 64, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**48 - 1, 2**48),
    *(2**63, 2**64 - 1, 2**64, 10**400, 0.5, 1.5, float("nan"), float("inf"), "", "x", "0x1", "-0x1", "0x", "ff" * 16),
    *("aa" * 14, "aa" * 12, "0x" + "f" * 9000, "outbound", "inbound", "AES_CM_128_HMAC_SHA1_32", "NULL_HMAC_SHA1_80"),
    *([], [1, 2], [True, 5, "0x1"], {}, {"x": 1}, "\ud800"),
]


def place(rng: random.Random, values: Any) -> tuple[Any, Any] | None:
    """A container in it, mostly deep down, and a key of that; None where nothing is left."""
    at = None
    while values:
        container, at = values, rng.choice(list(values)) if isinstance(values, dict) else rng.randrange(len(values))
        values = container[at]
        if not isinstance(values, dict | list) or not values or rng.random() < 0.15:
            return container, at
    return None


def damaged(rng: random.Random, text: bytes) -> Any:
    values = json.loads(text)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        one, other = place(rng, values), place(rng, values)
        if one is None or other is None:
            break
        container, at = one
        kind = rng.randrange(6)
        if kind <= 1:
            container[at] = copy.deepcopy(rng.choice(JUNK))
        elif kind == 2:
            container[at] = copy.deepcopy(other[0][other[1]])
        elif kind == 3:
            del container[at]
        elif kind == 4 and isinstance(container, list):
            container.insert(at, copy.deepcopy(container[at]))
        elif isinstance(container[at], int) and not isinstance(container[at], bool):
            container[at] += rng.choice((-1, 1, 1 << rng.randrange(66)))
        elif isinstance(container[at], str) and container[at]:
            text = container[at]
            cut = rng.randrange(len(text))
            container[at] = text[:cut] + rng.choice(("", "0", "f", "g", " ")) + text[cut + 1 :]
    return values


def plain_of(rng: random.Random, text: bytes) -> bytes:
    plain = bytearray(json.dumps(damaged(rng, text)).encode())
    if rng.random() < 0.1:
        for _ in range(rng.randrange(1, 4)):
            plain[rng.randrange(len(plain))] = rng.randrange(256)
    if rng.random() < 0.02:
        plain = plain[: rng.randrange(len(plain))]
    return bytes(plain)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("made", [with_keys_and_senders, with_an_overlap])
def test_whatever_was_sealed(made):
    header, values = opened(made())
    text = json.dumps(values).encode()
    rng = random.Random(made.__name__)
    taken = refused = 0
    secrets = [bytes((n,)).hex() * 12 for n in range(1, 10)]
    for _ in range(CASES // 2):
        plain = plain_of(rng, text)
        around, length = header, None
        if rng.random() < 0.05:
            around = header._replace(
                secrets=header.secrets[: rng.randrange(len(header.secrets) + 1)] + rng.randbytes(3)
            )
        if rng.random() < 0.02:
            length = rng.choice((0, 1, len(plain) - 1, len(plain) + 1, 2**32 - 1))
        try:
            session = imported(around, plain, rng.choice((0, 4096, 2**31)), length=length)
        except StateError as error:
            refused += 1
            words = str(error)
        else:
            words = ""
            taken += 1
            if taken % 16 == 0:
                use(session)
        assert len(words) < 400
        assert not any(secret in words for secret in secrets)
    assert taken > 1000 < refused


def context(values: Any, direction: str = "outbound", ssrc: int | None = None) -> dict[str, Any]:
    return next(one for one in values["contexts"] if (one["direction"], one["ssrc"]) == (direction, ssrc))


def more_counts(values: Any) -> None:
    context(values)["used"].append([0, 0])


def many_more_counts(values: Any) -> None:
    context(values)["used"] += [[0, 0]] * 100


def fewer_counts(values: Any) -> None:
    context(values)["used"].clear()


def current_beyond(values: Any) -> None:
    context(values)["current"] = len(context(values)["keys"])


def short_key_before(values: Any) -> None:
    context(values, "inbound")["previous"][0] -= 1


def key_before_with_mki(values: Any) -> None:
    context(values, "inbound")["previous"][2] = "00" * 128


def key_before_without_overlap(values: Any) -> None:
    context(values, "inbound")["overlap"] = 0


def policy_twice(values: Any) -> None:
    values["contexts"].append(values["contexts"][0])


def stream_twice(values: Any) -> None:
    values["streams"].append(values["streams"][0])


def stream_without_policy(values: Any) -> None:
    values["contexts"] = [one for one in values["contexts"] if one["direction"] != "outbound"]


def window_before_the_first_index(values: Any) -> None:
    values["streams"][0][3] = [True, 5, hex(1 << 64)]


def negative_window(values: Any) -> None:
    values["streams"][0][3] = [True, 500, "-0x1"]


def index_beyond(values: Any) -> None:
    values["streams"][0][3] = [True, 2**48, "0x1"]


def rtcp_index_beyond(values: Any) -> None:
    values["streams"][0][4] = [True, 2**31, "0x1"]


def ssrc_beyond(values: Any) -> None:
    values["streams"][0][1] = 2**32


def index_near_the_end(values: Any) -> None:
    values["streams"][0][3] = [True, 2**48 - 2, "0x1"]


def count_beyond(values: Any) -> None:
    context(values)["used"][0] = [2**64, 0]


def wrong_kind(values: Any) -> None:
    values["streams"] = 5


def unknown_setting(values: Any) -> None:
    context(values)["settings"]["surprise"] = 1


def longer_key(values: Any) -> None:
    context(values)["keys"][0][0] += 1


def negative_key(values: Any) -> None:
    context(values)["keys"][0][0] = -1


def key_of_all_there_is(values: Any) -> None:
    context(values)["keys"][0][0] = 2**31


def key_less(values: Any) -> None:
    context(values)["keys"].pop()
    context(values)["used"].pop()
    context(values)["current"] = 0


def nothing(values: Any) -> None:
    values.clear()


SINGLE: list[Callable[[Any], None]] = [
    *(more_counts, many_more_counts, fewer_counts, current_beyond, policy_twice, stream_twice, stream_without_policy),
    *(window_before_the_first_index, negative_window, index_beyond, rtcp_index_beyond, ssrc_beyond, count_beyond),
    *(wrong_kind, unknown_setting, nothing, index_near_the_end),
    *(longer_key, negative_key, key_of_all_there_is, key_less),
]
IN_AN_OVERLAP: list[Callable[[Any], None]] = [short_key_before, key_before_with_mki, key_before_without_overlap]


@pytest.mark.parametrize(
    ("made", "damage"),
    [
        *((with_keys_and_senders, damage) for damage in SINGLE),
        *((with_an_overlap, damage) for damage in IN_AN_OVERLAP),
    ],
)
def test_each_damage_is_named(made, damage):
    header, values = opened(made())
    assert imported(header, json.dumps(values).encode()) is not None
    damage(values)
    with pytest.raises(StateError):
        imported(header, json.dumps(values).encode())


@pytest.mark.parametrize("plain", [b"", b"\xff\xfe", b"[" * 100_000, b"1" * 10_000, b'"x"', b"null", b"[]"])
def test_what_is_no_json_of_a_state(plain):
    header, _ = opened(with_an_overlap())
    with pytest.raises(StateError):
        imported(header, plain)


@pytest.mark.parametrize("profile", [AES, GCM])
@pytest.mark.parametrize("rtcp_too", [False, True])
def test_near_the_last_index_a_gap_is_named(profile, rtcp_too):
    session = Session(Policy.with_keys(profile, [key(1, salt=profile.master_salt_length)]), None)
    session.set_roc(SSRC, OUT, 0xFFFFFFFF)
    session.protect(rtp(65535 - 4096))
    if rtcp_too:
        session.protect_rtcp(rtcp())
    header, values = opened(session)
    plain = json.dumps(values).encode()
    assert imported(header, plain, 4096).state(OUT).streams[0].rtp_replay.top == 2**48 - 1
    with pytest.raises(StateError, match=r"last RTP index.*new keys"):
        imported(header, plain, 4097)
