"""What a responder is set to, and a first message that it has authenticated."""

from __future__ import annotations

from dataclasses import dataclass, field

from srtp import Profile
from srtp.field_checks import check_fields

from .code_points import HashFunction, SignatureType
from .crypto_session_bundle import CryptoSessionBundle
from .exchange import STRICT, MikeyProfile, Mode, Verification
from .key_data import KeyValidity
from .key_transport import MessageKeys
from .message import Message
from .parties import Ourselves, Peer
from .payloads import T
from .prf import KeyDerivation


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponderSettings:
    """How a responder behaves: what it accepts, which SRTP profiles, and how it signs.

    `srtp_profiles` are those it takes, the preferred first; `require_sdp_ids` refuses an offer whose list of
    protocols is not authenticated, wherever an SDP offer is told to `receive`. `validity` is that of the TGK
    that the responder makes in RSA_R; with `rekey_updates` it makes one for updates too.
    """

    profile: MikeyProfile = STRICT
    srtp_profiles: tuple[Profile, ...] = tuple(one for one in Profile if one.encrypts)
    signature_type: SignatureType = SignatureType.RSA_PKCS1_1_5
    signature_hash: HashFunction = HashFunction.SHA_1
    require_sdp_ids: bool = True
    validity: KeyValidity = field(default_factory=KeyValidity)
    rekey_updates: bool = True

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class Request:
    """A first message, with all that answering it needs. `known` is the bundle that it updates."""

    message: Message
    mode: Mode
    ourselves: Ourselves
    peer: Peer
    derivation: KeyDerivation
    timestamp: T
    now: float
    settings: ResponderSettings
    known: CryptoSessionBundle | None
    keys: MessageKeys | None

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def verification(self) -> Verification:
        """What follows the response in its MAC or signature."""
        return Verification(self.peer.identity, self.ourselves.identity, self.timestamp)
