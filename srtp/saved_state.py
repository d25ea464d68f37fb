"""The state of a session, sealed, so that another process can go on with it.

The seal is AES-256-GCM under a key of the caller's; in it lie the policies with their keys, the indexes, the replay
windows and the lifetimes: a number of 32 bits, as many bytes of JSON, and behind it the keys and salts, which are only
ever in memory that is wiped. An imported sender goes on `gap` indexes after the exported one: what a crashed node sent
since its last export is then never encrypted twice, as long as it was less than the gap.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .errors import PolicyError, StateError
from .saved_values import SavedDirection, saved_of, values_of
from .state import Direction

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from .secret import SecretBytes
    from .session import Session

    # The kernels' AES-256-GCM, over parts in one piece and back; None is not authentic.
    Sealer = Callable[[Buffer, bytes, Iterable[Buffer]], bytes]
    Opener = Callable[[Buffer, bytes, int], SecretBytes | None]

MAGIC = b"securertc-srtp"
VERSION = 4
NONCE_LENGTH = 12
LENGTH_LENGTH = 4
# More packets than a sender is likely to have sent since its last export: 80 s of 50 packets a second.
DEFAULT_GAP = 4096
MAX_GAP = 2**31


def seal(session: Session, sealing_key: Buffer, sealed: Sealer) -> bytes:
    """Returns the sealed state of a session. `sealing_key` has 32 bytes.

    Raises StateError when the key has another length.
    """
    header = MAGIC + bytes([VERSION]) + os.urandom(NONCE_LENGTH)
    saved = [one for one in map(session._saved, Direction) if one is not None]
    values, secrets = values_of(saved)
    text = json.dumps(values, separators=(",", ":")).encode()
    return sealed(sealing_key, header, (len(text).to_bytes(LENGTH_LENGTH), text, *secrets))


def unseal(
    cls: type[Session], data: Buffer, sealing_key: Buffer, gap: int, kernels: str | None, opened: Opener
) -> Session:
    """Returns a new session of a sealed state, its senders `gap` packets (0 to 2^31) further on.

    Raises StateError when the data is damaged, was sealed with another key or by an unknown version.
    """
    if not isinstance(gap, int) or not 0 <= gap <= MAX_GAP:
        raise StateError(f"the gap is {gap}, it must be from 0 to 2^31")
    sealed = bytes(memoryview(data))
    header_length = len(MAGIC) + 1 + NONCE_LENGTH
    header = sealed[:header_length]
    if len(header) < header_length or not header.startswith(MAGIC):
        raise StateError("the data is no saved SRTP state")
    if header[len(MAGIC)] != VERSION:
        raise StateError(f"the saved state has version {header[len(MAGIC)]}, this is version {VERSION}")
    plain = opened(sealing_key, sealed, header_length)
    if plain is None:
        raise StateError("the saved state is damaged, or was sealed with another key")
    return _restored(cls, saved_of(*_values_in(memoryview(plain))), gap, kernels)


def _values_in(plain: memoryview) -> tuple[object, memoryview]:
    """The values, and the keys and salts that lie behind them."""
    end = LENGTH_LENGTH + int.from_bytes(plain[:LENGTH_LENGTH])
    if len(plain) < end:
        raise StateError("the saved state is damaged: its values are cut off")
    try:
        return json.loads(bytes(plain[LENGTH_LENGTH:end])), plain[end:]
    except (ValueError, RecursionError):
        raise StateError("the saved state is damaged: what was sealed is no JSON") from None


def copy_of_receiver(session: Session, **settings: Any) -> Session:
    """Returns a session that receives as `session` would now, with other `settings` in its policies."""
    saved = session._saved(Direction.INBOUND)
    if saved is None:
        return type(session)(None, None, kernels=session.kernels)
    changed = [replace(one, policy=replace(one.policy, **settings)) for one in saved.contexts]
    return _restored(type(session), (replace(saved, contexts=tuple(changed)),), 0, session.kernels)


def _restored(cls: type[Session], directions: Iterable[SavedDirection], gap: int, kernels: str | None) -> Session:
    directions = tuple(directions)
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
