"""What one direction of a session is protected with."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from .errors import PolicyError
from .field_checks import check_fields
from .master_key import MAX_INDEX, MAX_SRTCP_LIFETIME, MAX_SRTP_LIFETIME, MasterKey
from .profile import Profile
from .secret import SecretBytes

MIN_WINDOW = 64
MAX_WINDOW = 32768
MAX_KEY_DERIVATION_RATE = 2**24
MAX_EXTENSION_ID = 255
MAX_STREAMS = 2**20
ROC_LENGTH = 4
EMPTY_EXTENSION_LENGTH = 4
RTCP_INDEX_LENGTH = 4


class Cryptex(enum.Enum):
    """Encryption of header extensions and CSRCs (RFC 9335): not at all; what is sent, while what is received may do
    without; or required in both directions."""

    OFF = 0
    ON = 1
    REQUIRED = 2


@dataclass(frozen=True, slots=True)
class RocCarrying:
    """Packets whose sequence number is 0 modulo `rate` carry their ROC (RFC 4771).

    In `mode` 1 only those are authenticated, in 2 all packets, in 3 none by HMAC-SHA1: with AES-GCM, which
    authenticates all by itself, it is the only mode (RFC 7714 7.1). In mode 1 packets without ROC change no state, so
    that `rate` is at most 2^14 there; otherwise at most 2^16 - 1.

    Raises PolicyError when the mode or the rate is none.
    """

    mode: int
    rate: int = 1

    def __post_init__(self) -> None:
        check_fields(self, PolicyError)
        most = 2**14 if self.mode == 1 else 2**16 - 1
        if self.mode not in (1, 2, 3):
            raise PolicyError(f"the mode of RFC 4771 is {self.mode}, it must be 1, 2 or 3")
        if not 1 <= self.rate <= most:
            raise PolicyError(f"the ROC transmission rate is {self.rate}, in mode {self.mode} it must be 1 to {most}")


def _as_master_key(key: object) -> MasterKey:
    if not isinstance(key, MasterKey):
        raise PolicyError(f"a master key is a {type(key).__name__}, it must be a MasterKey")
    return key


@dataclass(frozen=True, slots=True)
class Policy:
    """The cryptographic context of one direction (RFC 3711 3.2), without the state of its streams.

    `master_key` and `master_salt` take any bytes-like object and are kept as SecretBytes; `mki` (0 to 128
    bytes) is appended to, or expected in, every packet; `valid_from` to `soft_limit` are those of MasterKey.
    `further_keys` are more master keys: with MKIs of the same length, or with ranges of indexes that tell them
    apart; with_keys() makes a policy of MasterKeys only.

    `rtp_window` and `rtcp_window` are the sizes of the replay windows in packets, 64 to 32,768. With
    `allow_repeat_tx` a sender may protect the same packet again, byte for byte. `key_derivation_rate` is 0 or a
    power of two up to 2^24 (4.3.1). `encrypt_rtp`, `encrypt_rtcp` and `authenticate_rtp` can be switched off, as
    RFC 4568 6.3 allows; SRTCP is always authenticated. `encrypted_extensions` are the RFC 8285 IDs of the header
    extension elements that RFC 6904 encrypts.

    `max_streams` (1 to 2^20) bounds the SSRCs that peers can bring: where a session has so many in the direction, a
    packet of another one is refused, until remove_stream() makes room. `replay_check=False` takes the same packet as
    often as it comes, for reading captures; a session refuses it for what is sent.

    Raises PolicyError, naming the value, when one does not fit, or when two exclude each other.
    """

    profile: Profile
    master_key: SecretBytes | bytes
    master_salt: SecretBytes | bytes
    mki: bytes = b""
    rtp_window: int = 128
    rtcp_window: int = 128
    allow_repeat_tx: bool = False
    valid_from: int = 0
    valid_to: int = MAX_INDEX
    srtp_lifetime: int = MAX_SRTP_LIFETIME
    srtcp_lifetime: int = MAX_SRTCP_LIFETIME
    soft_limit: float = 0.9
    further_keys: tuple[MasterKey, ...] = ()
    key_derivation_rate: int = 0
    encrypt_rtp: bool = True
    encrypt_rtcp: bool = True
    authenticate_rtp: bool = True
    encrypted_extensions: frozenset[int] = frozenset()
    cryptex: Cryptex = Cryptex.OFF
    roc_carrying: RocCarrying | None = None
    max_streams: int = 1024
    replay_check: bool = True

    def __post_init__(self) -> None:
        first = self._own_key()  # SecretBytes from the start: no copy of a key may be left behind
        for name, value in (("master_key", first.key), ("master_salt", first.salt), ("mki", first.mki)):
            object.__setattr__(self, name, value)
        check_fields(self, PolicyError)
        self.check_keys((first, *self.further_keys))
        self._check_numbers()
        self._check_features()

    @classmethod
    def with_keys(cls, profile: Profile, keys: Sequence[MasterKey], **settings: Any) -> Self:
        """Returns the policy of several master keys, the first of which protects; `settings` are the other fields.

        Raises PolicyError as the constructor, and when there is no key.
        """
        if not keys:
            raise PolicyError("a policy needs a master key")
        first = _as_master_key(keys[0])
        return cls(
            profile,
            first.key,
            first.salt,
            first.mki,
            valid_from=first.valid_from,
            valid_to=first.valid_to,
            srtp_lifetime=first.srtp_lifetime,
            srtcp_lifetime=first.srtcp_lifetime,
            soft_limit=first.soft_limit,
            further_keys=tuple(keys[1:]),
            **settings,
        )

    @property
    def master_keys(self) -> tuple[MasterKey, ...]:
        """All master keys, the one of the policy's own fields first."""
        return (self._own_key(), *self.further_keys)

    def _own_key(self) -> MasterKey:
        return MasterKey(
            self.master_key,
            self.master_salt,
            self.mki,
            self.valid_from,
            self.valid_to,
            self.srtp_lifetime,
            self.srtcp_lifetime,
            self.soft_limit,
        )

    @property
    def rtp_overhead(self) -> int:
        """How many bytes protect() adds to a packet at the most: MKI, tag, the ROC of RFC 4771 and cryptex_overhead."""
        tag = self.profile.rtp_tag_length if self.authenticate_rtp else 0
        if self.roc_carrying is not None and self.roc_carrying.mode == 3:
            tag = tag + ROC_LENGTH if self.profile.is_aead else ROC_LENGTH
        return len(self.mki) + tag + self.cryptex_overhead

    @property
    def cryptex_overhead(self) -> int:
        """How many bytes Cryptex adds to a packet that has CSRCs and no header extension (RFC 9335 5.1)."""
        return 0 if self.cryptex is Cryptex.OFF else EMPTY_EXTENSION_LENGTH

    @property
    def rtcp_overhead(self) -> int:
        """How many bytes protect_rtcp() adds to any packet: E flag and index, MKI and tag (RFC 3711 3.4)."""
        return RTCP_INDEX_LENGTH + len(self.mki) + self.profile.rtcp_tag_length

    def has_keys_of(self, other: Policy) -> bool:
        """Returns whether the master keys are the same ones, by the same MKIs and in the same order, whatever the
        settings and lifetimes."""
        ours, theirs = ([(key.key, key.salt, key.mki) for key in one.master_keys] for one in (self, other))
        return ours == theirs

    def check_keys(self, keys: Sequence[MasterKey]) -> None:
        """Checks that keys fit the profile and can be told apart.

        Raises PolicyError, naming the key, when they do not.
        """
        for key in keys:
            _as_master_key(key)
            for name, secret, length in (
                ("master_key", key.key, self.profile.master_key_length),
                ("master_salt", key.salt, self.profile.master_salt_length),
            ):
                if len(secret) != length:
                    raise PolicyError(f"{name} has {len(secret)} bytes, {self.profile.name} needs {length}")
            if len(key.mki) != len(keys[0].mki):
                raise PolicyError(f"MKIs of {len(keys[0].mki)} and of {len(key.mki)} bytes are in one policy")
        if len(keys) == 1:
            return
        if keys[0].mki:
            if len({key.mki for key in keys}) < len(keys):
                raise PolicyError("two master keys have the same MKI")
            return
        ranges = sorted((key.valid_from, key.valid_to) for key in keys)
        for (_, before), (after, _) in itertools.pairwise(ranges):
            if after <= before:
                raise PolicyError(f"two master keys without MKI are both for the index {after}")

    def _check_numbers(self) -> None:
        for name in ("rtp_window", "rtcp_window"):
            size = getattr(self, name)
            if not MIN_WINDOW <= size <= MAX_WINDOW:
                raise PolicyError(f"{name} is {size!r}, it must be from {MIN_WINDOW} to {MAX_WINDOW}")
        rate = self.key_derivation_rate
        if rate != 0 and (not 1 <= rate <= MAX_KEY_DERIVATION_RATE or rate & (rate - 1)):
            raise PolicyError(f"key_derivation_rate is {rate!r}, it must be 0 or a power of two up to 2^24")
        if not 1 <= self.max_streams <= MAX_STREAMS:
            raise PolicyError(f"max_streams is {self.max_streams!r}, it must be from 1 to 2^20")
        for extension in self.encrypted_extensions:
            if not 1 <= extension <= MAX_EXTENSION_ID:
                raise PolicyError(
                    f"a header extension has the ID {extension!r}, it must be from 1 to {MAX_EXTENSION_ID}"
                )

    def _check_features(self) -> None:
        if self.profile.is_aead and not (self.encrypt_rtp and self.authenticate_rtp):
            raise PolicyError(f"{self.profile.name} always encrypts and authenticates SRTP (RFC 7714 8.2)")
        if self.allow_repeat_tx and not self.authenticate_rtp:
            raise PolicyError("allow_repeat_tx needs authentication: it knows packets by their tags")
        if self.cryptex is not Cryptex.OFF and not (self.encrypt_rtp and self.profile.encrypts):
            raise PolicyError("Cryptex needs a profile and a policy that encrypt")
        if self.roc_carrying is not None:
            self._check_roc_carrying(self.roc_carrying)

    def _check_roc_carrying(self, roc_carrying: RocCarrying) -> None:
        if self.profile.is_aead:
            if roc_carrying.mode != 3:
                raise PolicyError(f"{self.profile.name} authenticates by itself: of RFC 4771 it has mode 3 alone")
            return
        if not self.authenticate_rtp:
            raise PolicyError("RFC 4771 sets by itself what is authenticated")
        if roc_carrying.mode != 3 and self.profile.rtp_tag_length <= 4:
            raise PolicyError(f"the tag of {self.profile.name} has no room for a ROC and a MAC (RFC 4771 5)")
        if roc_carrying.mode != 2 and self.allow_repeat_tx:
            raise PolicyError("allow_repeat_tx needs a tag on every packet, mode 2 of RFC 4771")

    def replace_keys(self, keys: Sequence[MasterKey]) -> Policy:
        """Returns the same policy with other master keys, the first of which protects.

        Raises PolicyError as with_keys().
        """
        settings = {
            field.name: getattr(self, field.name) for field in fields(self) if field.name not in _FIELDS_OF_KEYS
        }
        return Policy.with_keys(self.profile, keys, **settings)


_FIELDS_OF_KEYS = {"profile", "master_key", "master_salt", "further_keys", *(f.name for f in fields(MasterKey))}
