"""What one direction of a session is protected with."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import PolicyError
from .profile import Profile
from .secret import SecretBytes

MIN_WINDOW = 64
MAX_WINDOW = 32768
MAX_MKI_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Policy:
    """The cryptographic context of one direction (RFC 3711 3.2), without the state of its streams.

    `master_key` and `master_salt` take any bytes-like object and are kept as SecretBytes; `mki` (0 to 128
    bytes) is appended to, or expected in, every packet. `rtp_window` and `rtcp_window` are the sizes of the
    replay windows in packets, 64 to 32,768. With `allow_repeat_tx` a sender may protect the same packet
    again, byte for byte.

    Raises PolicyError, naming the value, when a length or a size does not fit.
    """

    profile: Profile
    master_key: SecretBytes | bytes
    master_salt: SecretBytes | bytes
    mki: bytes = b""
    rtp_window: int = 128
    rtcp_window: int = 128
    allow_repeat_tx: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.profile, Profile):
            raise PolicyError(f"profile is a {type(self.profile).__name__}, not a Profile")
        self._keep_secret("master_key", self.profile.master_key_length)
        self._keep_secret("master_salt", self.profile.master_salt_length)
        object.__setattr__(self, "mki", bytes(self.mki))
        if len(self.mki) > MAX_MKI_LENGTH:
            raise PolicyError(f"the MKI has {len(self.mki)} bytes, at most {MAX_MKI_LENGTH} are allowed")
        for name in ("rtp_window", "rtcp_window"):
            size = getattr(self, name)
            if not isinstance(size, int) or not MIN_WINDOW <= size <= MAX_WINDOW:
                raise PolicyError(f"{name} is {size!r}, it must be from {MIN_WINDOW} to {MAX_WINDOW}")

    def _keep_secret(self, name: str, length: int) -> None:
        given = getattr(self, name)
        secret = given if isinstance(given, SecretBytes) else SecretBytes(given)
        if len(secret) != length:
            raise PolicyError(f"{name} has {len(secret)} bytes, {self.profile.name} needs {length}")
        object.__setattr__(self, name, secret)
