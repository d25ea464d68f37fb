"""Keys, policies, buffers and arrays that cannot be: an error that names the value, and nothing half done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rtp_packets import rtcp, rtp

from srtp import (
    BufferTooSmallError,
    Direction,
    MasterKey,
    PacketBatch,
    PacketStatus,
    Policy,
    PolicyError,
    Profile,
    RocCarrying,
    Session,
    StateError,
)

OUT, IN = Direction.OUTBOUND, Direction.INBOUND
AES = Profile.AES_CM_128_HMAC_SHA1_80


def policy(profile: Profile = AES, **more: Any) -> Policy:
    return Policy(profile, bytes(profile.master_key_length), bytes(profile.master_salt_length), **more)


@pytest.mark.parametrize("profile", list(Profile))
@pytest.mark.parametrize("part", ["key", "salt"])
@pytest.mark.parametrize("off", [-1, 1, None])
def test_wrong_lengths_of_key_and_salt(profile: Profile, part: str, off: int | None) -> None:
    lengths = {"key": profile.master_key_length, "salt": profile.master_salt_length}
    wrong = 0 if off is None else lengths[part] + off
    given = lengths | {part: wrong}
    with pytest.raises(PolicyError, match=f"master_{part} has {wrong} bytes, {profile.name} needs {lengths[part]}"):
        Policy(profile, bytes(given["key"]), bytes(given["salt"]))
    session = Session(policy(profile, mki=b"a"), policy(profile, mki=b"a"))
    before = session.outbound_policy
    for direction in (OUT, IN):
        with pytest.raises(PolicyError, match=f"{wrong} bytes"):
            session.add_key(direction, MasterKey(bytes(given["key"]), bytes(given["salt"]), b"b"))
    assert session.outbound_policy is before
    assert session.unprotect(session.protect(rtp(1))) == rtp(1)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"profile": None}, "profile is None, it must be one of AES_CM_128_HMAC_SHA1_80, "),
        ({"profile": "AES_CM_128_HMAC_SHA1"}, "'AES_CM_128_HMAC_SHA1', it must be one of AES_CM_128_HMAC_SHA1_80, "),
        ({"mki": bytes(129)}, "129"),
        ({"mki": b"ab", "further_keys": (MasterKey(bytes(16), bytes(14), b"abc"),)}, "2 and of 3"),
        ({"mki": b"ab", "further_keys": (MasterKey(bytes(16), bytes(14), b""),)}, "2 and of 0"),
        ({"mki": b"ab", "further_keys": (b"abc",)}, "a bytes, it must be a MasterKey"),
        ({"rtp_window": 63}, "63"),
        ({"rtp_window": 128.0}, r"128\.0"),
        ({"rtp_window": "128"}, "'128'"),
        ({"rtcp_window": 32769}, "32769"),
        ({"rtcp_window": -64}, "-64"),
        ({"key_derivation_rate": "8"}, "'8'"),
        ({"key_derivation_rate": -8}, "-8"),
        ({"srtp_lifetime": 10.5}, r"srtp_lifetime is 10\.5"),
        ({"srtcp_lifetime": "x"}, "srtcp_lifetime is 'x'"),
        ({"valid_to": 2**48}, str(2**48)),
        ({"soft_limit": float("nan")}, "nan"),
        ({"encrypted_extensions": {"a"}}, "'a'"),
        ({"encrypted_extensions": {0}}, "0"),
        ({"cryptex": "perhaps"}, "'perhaps', it must be one of OFF, ON, REQUIRED"),
        ({"roc_carrying": (1, 2)}, "roc_carrying is a tuple, it must be a RocCarrying"),
    ],
)
def test_policies_that_cannot_be(change: dict[str, Any], named: str) -> None:
    arguments = {"profile": AES, "master_key": bytes(16), "master_salt": bytes(14)} | change
    with pytest.raises(PolicyError, match=named):
        Policy(**arguments)


@pytest.mark.parametrize("wrong", [5, None, "text"])
@pytest.mark.parametrize(
    "use",
    [
        lambda wrong: Policy(AES, wrong, bytes(14)),
        lambda wrong: Policy(AES, bytes(16), wrong),
        lambda wrong: policy(mki=wrong),
        lambda wrong: Session(policy(), policy()).protect(wrong),
        lambda wrong: Session(policy(), policy()).unprotect_rtcp(wrong),
        lambda wrong: Session(policy(), policy()).protect_into(wrong, 1),
        lambda wrong: Session(policy(), policy()).protect_list([wrong]),
        lambda wrong: Session(policy(mki=b"a"), None).remove_key(OUT, wrong),
        lambda wrong: Session(policy(mki=b"a"), None).switch_key(wrong),
        lambda wrong: Session(policy(), None).export_state(wrong),
        lambda wrong: Session.import_state(wrong, bytes(32)),
        lambda wrong: Session(policy(), policy()).diagnose(wrong),
        lambda wrong: PacketBatch(1).put(0, wrong),
    ],
)
def test_what_is_no_bytes_is_not_taken_for_bytes(use: Callable[[Any], object], wrong: object) -> None:
    """bytes(5) would be five zeros: an MKI, or a sealing key, that nobody chose."""
    with pytest.raises(TypeError):
        use(wrong)


def test_other_things_than_policies_and_keys() -> None:
    with pytest.raises(TypeError, match="dict"):
        Session({}, None)  # type: ignore[arg-type]
    session = Session(policy(), policy())
    with pytest.raises(TypeError, match="NoneType"):
        session.add_policy(1, IN, None)  # type: ignore[arg-type]
    for change in (session.add_key, session.rekey):
        with pytest.raises(PolicyError, match="is a Policy, it must be a MasterKey"):
            change(IN, policy())  # type: ignore[arg-type]
    assert session.state(IN).streams == ()
    with pytest.raises(PolicyError, match=r"2\.5"):
        RocCarrying(1, 2.5)  # type: ignore[arg-type]
    with pytest.raises(StateError, match=r"1\.5"):
        Session.import_state(session.export_state(bytes(32)), bytes(32), gap=1.5)  # type: ignore[arg-type]


def made(operation: str, profile: Profile) -> tuple[Session, bytes, int]:
    """A session, a packet for the operation, and how long the result is."""
    one = policy(profile, mki=b"mki")
    plain = rtcp() if "rtcp" in operation else rtp(7, payload=bytes(40))
    protected: bytes = getattr(Session(one, None), "protect_rtcp" if "rtcp" in operation else "protect")(plain)
    given, result = (protected, plain) if operation.startswith("un") else (plain, protected)
    return Session(one, one), given, len(result)


@pytest.mark.parametrize("operation", ["protect", "unprotect", "protect_rtcp", "unprotect_rtcp"])
@pytest.mark.parametrize("profile", [AES, Profile.AEAD_AES_256_GCM, Profile.F8_128_HMAC_SHA1_32])
def test_buffers_that_do_not_fit(operation: str, profile: Profile) -> None:
    """Too small, read-only, shorter than said: the packet stays, the index is not used, and the next try succeeds."""
    session, given, length = made(operation, profile)
    into = getattr(session, f"{operation}_into")
    direction = IN if operation.startswith("un") else OUT
    for room in range(len(given), max(length, len(given))):
        buffer = bytearray(given.ljust(room, b"?"))
        with pytest.raises(BufferTooSmallError, match=f"{room} bytes, {length} are needed") as error:
            into(buffer, len(given))
        assert (error.value.needed, error.value.capacity) == (length, room)
        assert buffer == given.ljust(room, b"?")
    with pytest.raises(BufferTooSmallError, match=f"{len(given) - 1} bytes, {len(given)} are needed"):
        into(bytearray(given[:-1]), len(given))
    for read_only in (given + bytes(40), memoryview(bytearray(given + bytes(40))).toreadonly()):
        with pytest.raises(BufferError):
            into(read_only, len(given))
        assert bytes(read_only) == given + bytes(40)
    with pytest.raises(BufferError):
        into(memoryview(bytearray(2 * given))[::2], len(given))
    with pytest.raises(ValueError, match="-1"):
        into(bytearray(200), -1)
    assert session.state(direction).streams == ()
    buffer = bytearray(given.ljust(max(length, len(given)), b"?"))
    assert into(buffer, len(given)) == length


def arrays(**change: Any) -> dict[str, Any]:
    usual = {
        "arena": np.zeros(100, np.uint8),
        "offsets": np.array([0, 50], np.int64),
        "lengths": np.array([20, 20], np.int32),
        "capacities": np.array([50, 50], np.int32),
        "statuses": np.zeros(2, np.int8),
    }
    return usual | change


@pytest.mark.parametrize("name", ["offsets", "lengths", "capacities", "statuses"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_arrays_of_different_lengths(name: str, count: int) -> None:
    kind = arrays()[name].dtype
    named = "offsets has 2 entries" if name == "lengths" else f"{name} has {count} entries"
    with pytest.raises(ValueError, match=f"{named}, lengths has {count if name == 'lengths' else 2}"):
        PacketBatch(**arrays(**{name: np.zeros(count, kind)}))


@pytest.mark.parametrize("name", ["arena", "offsets", "lengths", "capacities", "statuses"])
def test_arrays_of_other_kinds(name: str) -> None:
    given = arrays()[name]
    for other in (given.astype(np.float64), given.astype(">u2"), given.reshape(2, -1), list(given)):
        with pytest.raises(ValueError, match=name):
            PacketBatch(**arrays(**{name: other}))
    for wrong in (np.repeat(given, 2)[::2], np.frombuffer(given.tobytes(), given.dtype)):
        with pytest.raises((BufferError, ValueError), match=r"contiguous|read-only"):
            PacketBatch(**arrays(**{name: wrong}))


def test_offsets_that_do_not_ascend_need_capacities() -> None:
    for offsets in ([50, 0], [0, 101]):
        given = arrays(offsets=np.array(offsets, np.int64), capacities=None)
        with pytest.raises(ValueError, match="offsets"):
            PacketBatch(**given)
    PacketBatch(**arrays(offsets=np.array([50, 0], np.int64)))


def test_one_packet_without_room_leaves_the_others() -> None:
    """Of a batch each packet has its own fate, and what has no room is as it was."""
    batch = PacketBatch(3, 60)
    for i in range(3):
        batch.put(i, rtp(i, payload=bytes(38)))
    batch.capacities[1] = 59
    before = batch.get(1)
    sender = Session(policy(), None)
    assert sender.protect_batch(batch) == 2
    assert list(batch.statuses) == [PacketStatus.OK, PacketStatus.NO_ROOM, PacketStatus.OK]
    assert batch.get(1) == before
    batch.capacities[1] = 60
    batch.lengths[0] = batch.lengths[2] = 0
    assert sender.protect_batch(batch) == 1  # its index is still free
    assert Session(None, policy()).unprotect(batch.get(1)) == before


def test_numbers_that_are_no_ssrc_and_kernels_without_a_name_are_refused_by_their_value():
    session = Session(policy(), policy())
    for ssrc in (-1, 1 << 32):
        for use in (
            lambda n: session.add_policy(n, Direction.OUTBOUND, policy()),
            lambda n: session.roc(n, Direction.INBOUND),
            lambda n: session.set_roc(n, Direction.INBOUND, 1),
            lambda n: session.remove_stream(n, Direction.INBOUND),
        ):
            with pytest.raises(ValueError, match=f"^{ssrc} is no SSRC"):
                use(ssrc)
    assert session.state(Direction.OUTBOUND).streams == ()
    with pytest.raises(PolicyError, match="''"):
        Session(policy(), None, kernels="")
