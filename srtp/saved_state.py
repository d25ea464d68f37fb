"""The state of a session, sealed, so that another process can go on with it.

The seal is AES-256-GCM under a key of the caller's; in it lie the policies with their keys, the indexes, the replay
windows and the lifetimes. An imported sender goes on `gap` indexes after the exported one: what a crashed node sent
since its last export is then never encrypted twice, as long as it was less than the gap.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from .errors import PolicyError, StateError
from .saved_values import saved_of, values_of
from .state import Direction

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from .session import Session

MAGIC = b"securertc-srtp"
VERSION = 3
NONCE_LENGTH = 12
SEALING_KEY_LENGTH = 32
# More packets than a sender is likely to have sent since its last export: 80 s of 50 packets a second.
DEFAULT_GAP = 4096
MAX_GAP = 2**31


def seal(session: Session, sealing_key: Buffer) -> bytes:
    """Returns the sealed state of a session. `sealing_key` has 32 bytes.

    Raises StateError when the key has another length.
    """
    aead = _aead(sealing_key)
    header = MAGIC + bytes([VERSION]) + os.urandom(NONCE_LENGTH)
    saved = [one for one in map(session._saved, Direction) if one is not None]
    plain = bytearray(json.dumps(values_of(saved), separators=(",", ":")).encode())
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
        plain = aead.decrypt(header[-NONCE_LENGTH:], ciphertext, header)
    except InvalidTag:
        raise StateError("the saved state is damaged, or was sealed with another key") from None
    return _restored(cls, _values_in(plain), gap, kernels)


def _values_in(plain: bytes) -> object:
    try:
        return json.loads(plain)
    except (ValueError, RecursionError):
        raise StateError("the saved state is damaged: what was sealed is no JSON") from None


def _restored(cls: type[Session], values: object, gap: int, kernels: str | None) -> Session:
    directions = saved_of(values)
    contexts = [context for one in directions for context in one.contexts]
    any_ssrc = {context.direction: context.policy for context in contexts if context.ssrc is None}
    cls(None, None, kernels=kernels)  # the kernels are the caller's: what is refused below is the state's
    try:
        session = cls(any_ssrc.get(Direction.OUTBOUND), any_ssrc.get(Direction.INBOUND), kernels=kernels)
        for context in contexts:
            if context.ssrc is not None:
                session.add_policy(context.ssrc, context.direction, context.policy)
    except PolicyError as error:
        raise StateError(f"the saved state holds a policy that cannot be: {error}") from None
    for one in directions:
        session._restore(one, gap)
    return session


def _aead(sealing_key: Buffer) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = bytes(memoryview(sealing_key))
    if len(key) != SEALING_KEY_LENGTH:
        raise StateError(f"the sealing key has {len(key)} bytes, {SEALING_KEY_LENGTH} are needed")
    return AESGCM(key)
