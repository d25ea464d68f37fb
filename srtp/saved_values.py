"""What a saved state holds, as plain values: checked one by one when they are read, for a sealed state can be damaged
by whoever sealed it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from .errors import PolicyError, StateError
from .field_checks import check_fields
from .master_key import MAX_INDEX, MAX_SRTCP_LIFETIME, MAX_SRTP_LIFETIME, MasterKey
from .policy import MAX_WINDOW, Cryptex, Policy, RocCarrying
from .profile import Profile
from .secret import SecretBytes
from .state import Direction, PacketCounters, ReplayState, StreamState

MAX_RTCP_INDEX = 2**31 - 1
MAX_32_BITS = 2**32 - 1
KEY_ID_LENGTH = 16
# More than any profile has of key or salt.
MAX_SECRET = 64
# As the C core has them: keys of a policy's past, and removed senders of a direction.
MAX_PAST_KEYS = 16
MAX_MARKS = 65536

_Enum = TypeVar("_Enum", Direction, Profile, Cryptex)


@dataclass(frozen=True, slots=True)
class SavedContext:
    """One policy of a session and how far it has come: the packets (RTP, RTCP) of each master key in the policy's
    order, which of them protects, and during an overlap the key before, its packets and what is left of the
    overlap. `keys_gone` are how many keys were removed, `past` the names of the last ones."""

    direction: Direction
    ssrc: int | None
    policy: Policy
    used: tuple[tuple[int, int], ...]
    current: int
    previous: MasterKey | None
    previous_used: tuple[int, int]
    overlap: int
    keys_gone: int
    past: tuple[bytes, ...]

    def __post_init__(self) -> None:
        check_fields(self, StateError)
        keys = len(self.policy.master_keys)
        if len(self.used) != keys or not self.current < keys:
            raise StateError(f"a saved policy has {keys} keys, and counts for {len(self.used)}")
        if len(self.past) != min(self.keys_gone, MAX_PAST_KEYS):
            raise StateError(f"a saved policy has names of {len(self.past)} past keys for {self.keys_gone}")
        if self.previous is None:
            return
        if self.policy.mki or self.previous.mki or not self.overlap:
            raise StateError("a saved policy has a key before its own, which is for keys without MKI")
        self.policy.check_keys((self.previous,))


@dataclass(frozen=True, slots=True)
class SavedStream:
    """One SSRC of a direction; `pinned` says that the next RTP packet has exactly the stream's ROC, and `born` how many
    keys its policy had lost when it began."""

    state: StreamState
    pinned: bool
    born: int

    def __post_init__(self) -> None:
        check_fields(self, StateError)
        if not self.pinned and not self.state.rtp_replay.started:
            raise StateError(f"the saved stream of SSRC 0x{self.state.ssrc:08x} has neither a ROC nor an index")

    def rtp_end(self, gap: int) -> int:
        """Returns below which RTP index all counts as used when the sender goes on.

        Of a sender whose next packet could have any sequence number of its ROC, none of them is free any more.
        """
        replay = self.state.rtp_replay
        end = replay.top + 1 if replay.started else 0
        if not self.pinned:
            return _within(end + gap, MAX_INDEX, self.state.ssrc, "RTP", gap)
        return _after_pinned(end, self.state.roc, gap)

    def rtcp_end(self, gap: int) -> int:
        """Returns below which RTCP index all counts as used when the sender goes on."""
        replay = self.state.rtcp_replay
        return _within(replay.top + 1 + gap if replay.started else gap, MAX_RTCP_INDEX, self.state.ssrc, "RTCP", gap)


@dataclass(frozen=True, slots=True)
class SenderMark:
    """What is kept of a removed sender: under the key of this name, or under any if it is None, its indexes below the
    two ends are used."""

    ssrc: int
    key: bytes | None
    pinned: bool
    roc: int
    rtp_end: int
    rtcp_end: int

    def __post_init__(self) -> None:
        check_fields(self, StateError)
        if not self.pinned and not self.rtp_end:
            raise StateError(f"what is saved of the removed SSRC 0x{self.ssrc:08x} has neither a ROC nor an index")

    def rtp_end_after(self, gap: int) -> int:
        """Returns the end of RTP, for a sender that may have come back for `gap` packets after the export."""
        if self.pinned:
            return _after_pinned(self.rtp_end, self.roc, gap)
        return min(self.rtp_end + gap, MAX_INDEX + 1)

    def rtcp_end_after(self, gap: int) -> int:
        """Returns the end of RTCP, likewise."""
        return min(self.rtcp_end + gap, MAX_RTCP_INDEX + 1)


@dataclass(frozen=True, slots=True)
class SavedDirection:
    """All that is saved of one direction."""

    direction: Direction
    contexts: tuple[SavedContext, ...]
    streams: tuple[SavedStream, ...]
    marks: tuple[SenderMark, ...]

    def __post_init__(self) -> None:
        check_fields(self, StateError)
        policies = [context.ssrc for context in self.contexts]
        streams = [stream.state.ssrc for stream in self.streams]
        marks = [(mark.ssrc, mark.key) for mark in self.marks]
        for what, those in (("policies", policies), ("streams", streams), ("removed senders", marks)):
            if len(set(those)) < len(those):
                raise StateError(f"two of the saved {what} are of one SSRC")
        if None not in policies and not set(streams) <= set(policies):
            raise StateError("a saved stream has no policy")
        if len(marks) > MAX_MARKS:
            raise StateError(f"{len(marks)} removed senders are saved, at most {MAX_MARKS} are kept")


def _after_pinned(end: int, roc: int, gap: int) -> int:
    return min(max(end, (roc + 1) << 16) + gap, MAX_INDEX + 1) if gap else end


def _within(end: int, most: int, ssrc: int, kind: str, gap: int) -> int:
    if end > most + 1:
        raise StateError(
            f"a sender is near the last {kind} index: {gap} more lie beyond it, so that it needs new keys", ssrc=ssrc
        )
    return end


# Into plain values.


def values_of(saved: Iterable[SavedDirection]) -> tuple[dict[str, Any], list[SecretBytes]]:
    """Returns the directions of a session as what JSON knows, and apart from it their keys and salts, which JSON would
    leave copies of."""
    directions, secrets = list(saved), list[SecretBytes]()
    values = {
        "contexts": [_context_values(context, secrets) for one in directions for context in one.contexts],
        "streams": [(one.direction.value, *_stream_values(stream)) for one in directions for stream in one.streams],
        "marks": [(one.direction.value, *_mark_values(mark)) for one in directions for mark in one.marks],
    }
    return values, secrets


def _key_values(key: MasterKey, secrets: list[SecretBytes]) -> list[Any]:
    """The values of a key, and in the place of what is secret how many bytes of the secrets it has."""
    assert isinstance(key.key, SecretBytes)
    assert isinstance(key.salt, SecretBytes)
    secrets += (key.key, key.salt)
    return [
        len(key.key),
        len(key.salt),
        key.mki.hex(),
        key.valid_from,
        key.valid_to,
        key.srtp_lifetime,
        key.srtcp_lifetime,
        key.soft_limit,
    ]


def _context_values(context: SavedContext, secrets: list[SecretBytes]) -> dict[str, Any]:
    policy, roc_carrying = context.policy, context.policy.roc_carrying
    return {
        "direction": context.direction.value,
        "ssrc": context.ssrc,
        "profile": policy.profile.name,
        "keys": [_key_values(key, secrets) for key in policy.master_keys],
        "used": context.used,
        "current": context.current,
        "previous": None if context.previous is None else _key_values(context.previous, secrets),
        "previous_used": context.previous_used,
        "overlap": context.overlap,
        "keys_gone": context.keys_gone,
        "past": [name.hex() for name in context.past],
        "settings": {name: getattr(policy, name) for name in _PLAIN_SETTINGS},
        "encrypted_extensions": sorted(policy.encrypted_extensions),
        "cryptex": policy.cryptex.name,
        "roc_carrying": None if roc_carrying is None else (roc_carrying.mode, roc_carrying.rate),
    }


_NUMBER_SETTINGS = ("rtp_window", "rtcp_window", "key_derivation_rate", "max_streams")
_SWITCHES = ("allow_repeat_tx", "encrypt_rtp", "encrypt_rtcp", "authenticate_rtp", "replay_check")
_PLAIN_SETTINGS = (*_NUMBER_SETTINGS, *_SWITCHES)


def _stream_values(stream: SavedStream) -> list[Any]:
    state = stream.state
    replays = [(replay.started, replay.top, hex(replay.window)) for replay in (state.rtp_replay, state.rtcp_replay)]
    return [state.ssrc, state.roc, *replays, stream.pinned, stream.born]


def _mark_values(mark: SenderMark) -> list[Any]:
    key = None if mark.key is None else mark.key.hex()
    return [mark.ssrc, key, mark.pinned, mark.roc, mark.rtp_end, mark.rtcp_end]


# Out of plain values.


class _Secrets:
    """Keys and salts in one piece, taken in the order in which they were put there."""

    def __init__(self, secrets: memoryview) -> None:
        self._left = secrets

    def take(self, length: object, what: str) -> SecretBytes:
        taken = _number(length, what, min(MAX_SECRET, len(self._left)))
        secret = SecretBytes(self._left[:taken])
        self._left = self._left[taken:]
        return secret

    def check_end(self) -> None:
        if len(self._left):
            raise StateError(f"the saved state is damaged: {len(self._left)} bytes of keys belong to none")


def saved_of(values: object, secrets: memoryview) -> tuple[SavedDirection, ...]:
    """Returns the directions of a saved session, whose keys and salts are `secrets`; raises StateError, naming what is
    wrong, for values of no session."""
    try:
        return _saved_of(_record(values, "a state", ("contexts", "streams", "marks")), _Secrets(secrets))
    except PolicyError as error:
        raise StateError(f"the saved state holds a policy that cannot be: {error}") from None


def _saved_of(values: dict[str, Any], secrets: _Secrets) -> tuple[SavedDirection, ...]:
    contexts = [_context_of(one, secrets) for one in _list(values["contexts"], "the policies")]
    secrets.check_end()
    streams = [_with_direction(one, "a stream", _stream_of) for one in _list(values["streams"], "the streams")]
    marks = [_with_direction(one, "a removed sender", _mark_of) for one in _list(values["marks"], "the marks")]
    found = []
    for direction in Direction:
        parts = (
            tuple(context for context in contexts if context.direction is direction),
            tuple(stream for way, stream in streams if way is direction),
            tuple(mark for way, mark in marks if way is direction),
        )
        if any(parts):
            found.append(SavedDirection(direction, *parts))
    return tuple(found)


_Part = TypeVar("_Part")


def _with_direction(values: object, what: str, read: Callable[[list[Any]], _Part]) -> tuple[Direction, _Part]:
    direction, *rest = _list(values, what, 7)
    return _direction(direction), read(rest)


def _refuse(what: str, value: object) -> StateError:
    return StateError(f"the saved state is damaged: {what} cannot be a {type(value).__name__} or have its value")


def _list(values: object, what: str, length: int | None = None) -> list[Any]:
    if not isinstance(values, list) or (length is not None and len(values) != length):
        raise _refuse(what, values)
    return values


def _record(values: object, what: str, names: Iterable[str]) -> dict[str, Any]:
    if not isinstance(values, dict) or set(values) != set(names):
        raise _refuse(what, values)
    return values


def _number(value: object, what: str, most: int, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= most:
        raise _refuse(what, value)
    return value


def _switch(value: object, what: str) -> bool:
    if type(value) is not bool:
        raise _refuse(what, value)
    return value


def _bytes(value: object, what: str, length: int | None = None) -> bytes:
    if not isinstance(value, str):
        raise _refuse(what, value)
    try:
        found = bytes.fromhex(value)
    except ValueError:
        raise _refuse(what, value) from None
    if length is not None and len(found) != length:
        raise _refuse(what, value)
    return found


def _member(kind: type[_Enum], name: object, what: str) -> _Enum:
    if not isinstance(name, str) or name not in kind.__members__:
        raise _refuse(what, name)
    return kind[name]


def _direction(value: object) -> Direction:
    return _member(Direction, value.upper() if isinstance(value, str) else value, "a direction")


def _key_of(values: object, secrets: _Secrets) -> MasterKey:
    key, salt, mki, first, last, srtp, srtcp, soft = _list(values, "a key", 8)
    if type(soft) not in (int, float) or not 0 < soft <= 1:
        raise _refuse("a soft limit", soft)
    return MasterKey(
        secrets.take(key, "the length of a key"),
        secrets.take(salt, "the length of a salt"),
        _bytes(mki, "an MKI"),
        _number(first, "the first index of a key", MAX_INDEX),
        _number(last, "the last index of a key", MAX_INDEX),
        _number(srtp, "an SRTP lifetime", MAX_SRTP_LIFETIME),
        _number(srtcp, "an SRTCP lifetime", MAX_SRTCP_LIFETIME),
        soft,
    )


def _counts(values: object) -> tuple[int, int]:
    rtp, rtcp = (_number(one, "a number of packets", 2**48) for one in _list(values, "the packets of a key", 2))
    return rtp, rtcp


def _policy_of(values: dict[str, Any], secrets: _Secrets) -> Policy:
    settings = _record(values["settings"], "the settings of a policy", _PLAIN_SETTINGS)
    roc_carrying = values["roc_carrying"]
    if roc_carrying is not None:
        mode, rate = _list(roc_carrying, "the mode of RFC 4771", 2)
        roc_carrying = RocCarrying(_number(mode, "the mode of RFC 4771", 3), _number(rate, "a rate", 2**16))
    ids = [_number(one, "an extension ID", 255) for one in _list(values["encrypted_extensions"], "the extension IDs")]
    return Policy.with_keys(
        _member(Profile, values["profile"], "a profile"),
        [_key_of(key, secrets) for key in _list(values["keys"], "the keys")],
        encrypted_extensions=frozenset(ids),
        cryptex=_member(Cryptex, values["cryptex"], "the use of Cryptex"),
        roc_carrying=roc_carrying,
        **{name: _number(settings[name], name, MAX_32_BITS) for name in _NUMBER_SETTINGS},
        **{name: _switch(settings[name], name) for name in _SWITCHES},
    )


_CONTEXT_NAMES = (
    *("direction", "ssrc", "profile", "keys", "used", "current", "previous", "previous_used", "overlap"),
    *("keys_gone", "past", "settings", "encrypted_extensions", "cryptex", "roc_carrying"),
)


def _context_of(given: object, secrets: _Secrets) -> SavedContext:
    values = _record(given, "a policy", _CONTEXT_NAMES)
    ssrc, previous = values["ssrc"], values["previous"]
    return SavedContext(
        _direction(values["direction"]),
        None if ssrc is None else _number(ssrc, "an SSRC", MAX_32_BITS),
        _policy_of(values, secrets),
        tuple(_counts(one) for one in _list(values["used"], "the packets of the keys")),
        _number(values["current"], "the number of the current key", MAX_32_BITS),
        None if previous is None else _key_of(previous, secrets),
        _counts(values["previous_used"]),
        _number(values["overlap"], "the overlap", 2**64 - 1),
        _number(values["keys_gone"], "the number of past keys", MAX_32_BITS),
        tuple(_bytes(name, "the name of a key", KEY_ID_LENGTH) for name in _list(values["past"], "the past keys")),
    )


def _replay_of(values: object, most: int) -> ReplayState:
    started, top, window = _list(values, "a replay list", 3)
    top = _number(top, "an index", most)
    if not isinstance(window, str) or not 3 <= len(window) <= 2 + MAX_WINDOW // 4:
        raise _refuse("a replay list", window)
    try:
        bits = int(window, 16)
    except ValueError:
        raise _refuse("a replay list", window) from None
    if bits < 0 or bits.bit_length() > top + 1:
        raise _refuse("a replay list", window)
    return ReplayState(_switch(started, "a replay list"), top, bits)


def _stream_of(values: list[Any]) -> SavedStream:
    ssrc, roc, rtp, rtcp, pinned, born = values
    nothing = PacketCounters(0, 0, 0, 0, 0, 0, 0, 0)
    state = StreamState(
        _number(ssrc, "an SSRC", MAX_32_BITS),
        _number(roc, "a ROC", MAX_32_BITS),
        _replay_of(rtp, MAX_INDEX),
        _replay_of(rtcp, MAX_RTCP_INDEX),
        nothing,
        nothing,
    )
    return SavedStream(state, _switch(pinned, "a stream"), _number(born, "a number of keys", MAX_32_BITS))


def _mark_of(values: list[Any]) -> SenderMark:
    ssrc, key, pinned, roc, rtp_end, rtcp_end = values
    return SenderMark(
        _number(ssrc, "an SSRC", MAX_32_BITS),
        None if key is None else _bytes(key, "the name of a key", KEY_ID_LENGTH),
        _switch(pinned, "a removed sender"),
        _number(roc, "a ROC", MAX_32_BITS),
        _number(rtp_end, "an index", MAX_INDEX + 1),
        _number(rtcp_end, "an index", MAX_RTCP_INDEX + 1),
    )
