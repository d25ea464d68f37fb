"""The state of a session, sealed, so that another process can go on with it.

The seal is AES-256-GCM under a key of the caller's; in it lie the policies with their keys, the indexes, the replay
windows and the lifetimes. An imported sender goes on `gap` indexes after the exported one: what a crashed node sent
since its last export is then never encrypted twice, as long as it was less than the gap.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import PolicyError, StateError
from .field_checks import check_fields
from .master_key import MasterKey
from .policy import Cryptex, Policy, RocCarrying
from .profile import Profile
from .state import Direction, PacketCounters, ReplayState, StreamState

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from .session import Session

MAGIC = b"securertc-srtp"
VERSION = 1
NONCE_LENGTH = 12
SEALING_KEY_LENGTH = 32
# More packets than a sender is likely to have sent since its last export: 80 s of 50 packets a second.
DEFAULT_GAP = 4096
MAX_GAP = 2**31


@dataclass(frozen=True, slots=True)
class SavedContext:
    """One policy of a session and how far it has come: the packets (RTP, RTCP) of each master key in the policy's
    order, which of them protects, and during an overlap the key before, its packets and what is left of the
    overlap."""

    direction: Direction
    ssrc: int | None
    policy: Policy
    used: tuple[tuple[int, int], ...]
    current: int
    previous: MasterKey | None
    previous_used: tuple[int, int]
    overlap: int

    def __post_init__(self) -> None:
        check_fields(self)


def seal(session: Session, sealing_key: Buffer) -> bytes:
    """Returns the sealed state of a session. `sealing_key` has 32 bytes.

    Raises StateError when the key has another length.
    """
    aead = _aead(sealing_key)
    header = MAGIC + bytes([VERSION]) + os.urandom(NONCE_LENGTH)
    contexts = session._saved_contexts()
    streams = [
        (direction.value, stream)
        for direction in dict.fromkeys(context.direction for context in contexts)
        for stream in session._saved_streams(direction)
    ]
    plain = bytearray(
        json.dumps(
            {
                "contexts": [_context_values(context) for context in contexts],
                "streams": [(direction, *_stream_values(stream)) for direction, stream in streams],
            },
            separators=(",", ":"),
        ).encode()
    )
    try:
        return header + bytes(aead.encrypt(header[-NONCE_LENGTH:], plain, header))
    finally:
        plain[:] = bytes(len(plain))


def unseal(cls: type[Session], data: Buffer, sealing_key: Buffer, gap: int, kernels: str | None) -> Session:
    """Returns a new session of a sealed state, its senders `gap` packets (0 to 2^31) further on.

    Raises StateError when the data is damaged, was sealed with another key or by an unknown version.
    """
    from cryptography.exceptions import InvalidTag

    if not isinstance(gap, int) or not 0 <= gap <= MAX_GAP:
        raise StateError(f"the gap is {gap}, it must be from 0 to 2^31")
    aead = _aead(sealing_key)
    sealed = bytes(memoryview(data))
    header_length = len(MAGIC) + 1 + NONCE_LENGTH
    header, ciphertext = sealed[:header_length], sealed[header_length:]
    if len(header) < header_length or not header.startswith(MAGIC):
        raise StateError("the data is no saved SRTP state")
    if header[len(MAGIC)] != VERSION:
        raise StateError(f"the saved state has version {header[len(MAGIC)]}, this is version {VERSION}")
    try:
        values = json.loads(aead.decrypt(header[-NONCE_LENGTH:], ciphertext, header))
    except InvalidTag:
        raise StateError("the saved state is damaged, or was sealed with another key") from None
    return _restored(cls, values, gap, kernels)


def _restored(cls: type[Session], values: dict[str, Any], gap: int, kernels: str | None) -> Session:
    contexts = [_context_of(value) for value in values["contexts"]]
    any_ssrc = {context.direction: context.policy for context in contexts if context.ssrc is None}
    session = cls(any_ssrc.get(Direction.OUTBOUND), any_ssrc.get(Direction.INBOUND), kernels=kernels)
    for context in contexts:
        if context.ssrc is not None:
            session.add_policy(context.ssrc, context.direction, context.policy)
        session._restore_context(context, gap)
    for direction, *rest in values["streams"]:
        session._restore_stream(Direction(direction), _stream_of(rest), gap)
    return session


def _aead(sealing_key: Buffer) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = bytes(memoryview(sealing_key))
    if len(key) != SEALING_KEY_LENGTH:
        raise StateError(f"the sealing key has {len(key)} bytes, {SEALING_KEY_LENGTH} are needed")
    return AESGCM(key)


def _key_values(key: MasterKey) -> list[Any]:
    return [
        bytes(key.key).hex(),
        bytes(key.salt).hex(),
        key.mki.hex(),
        key.valid_from,
        key.valid_to,
        key.srtp_lifetime,
        key.srtcp_lifetime,
        key.soft_limit,
    ]


def _key_of(values: list[Any]) -> MasterKey:
    key, salt, mki, *rest = values
    return MasterKey(bytes.fromhex(key), bytes.fromhex(salt), bytes.fromhex(mki), *rest)


def _context_values(context: SavedContext) -> dict[str, Any]:
    policy, roc_carrying = context.policy, context.policy.roc_carrying
    return {
        "direction": context.direction.value,
        "ssrc": context.ssrc,
        "profile": policy.profile.name,
        "keys": [_key_values(key) for key in policy.master_keys],
        "used": context.used,
        "current": context.current,
        "previous": None if context.previous is None else _key_values(context.previous),
        "previous_used": context.previous_used,
        "overlap": context.overlap,
        "settings": {name: getattr(policy, name) for name in _PLAIN_SETTINGS},
        "encrypted_extensions": sorted(policy.encrypted_extensions),
        "cryptex": policy.cryptex.name,
        "roc_carrying": None if roc_carrying is None else (roc_carrying.mode, roc_carrying.rate),
    }


_PLAIN_SETTINGS = (
    "rtp_window",
    "rtcp_window",
    "allow_repeat_tx",
    "key_derivation_rate",
    "encrypt_rtp",
    "encrypt_rtcp",
    "authenticate_rtp",
)


def _context_of(values: dict[str, Any]) -> SavedContext:
    try:
        roc_carrying = values["roc_carrying"]
        policy = Policy.with_keys(
            Profile[values["profile"]],
            [_key_of(key) for key in values["keys"]],
            encrypted_extensions=frozenset(values["encrypted_extensions"]),
            cryptex=Cryptex[values["cryptex"]],
            roc_carrying=None if roc_carrying is None else RocCarrying(*roc_carrying),
            **values["settings"],
        )
    except (KeyError, PolicyError) as error:
        raise StateError(f"the saved state holds a policy that cannot be: {error}") from None
    previous = values["previous"]
    return SavedContext(
        Direction(values["direction"]),
        values["ssrc"],
        policy,
        tuple((rtp, rtcp) for rtp, rtcp in values["used"]),
        values["current"],
        None if previous is None else _key_of(previous),
        tuple(values["previous_used"]),
        values["overlap"],
    )


def _stream_values(stream: StreamState) -> list[Any]:
    replays = (stream.rtp_replay, stream.rtcp_replay)
    return [stream.ssrc, stream.roc, *((replay.started, replay.top, hex(replay.window)) for replay in replays)]


def _stream_of(values: list[Any]) -> StreamState:
    ssrc, roc, rtp, rtcp = values
    replays = [ReplayState(started, top, int(window, 16)) for started, top, window in (rtp, rtcp)]
    nothing = PacketCounters(0, 0, 0, 0, 0, 0, 0, 0)
    return StreamState(ssrc, roc, replays[0], replays[1], nothing, nothing)
