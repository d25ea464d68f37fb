"""What one side has for a stream, and what two sides agreed on for it."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field

from srtp import Policy
from srtp.field_checks import check_fields

from ..description.codecs import PCMA, PCMU, Codec, SharedCodec
from ..description.media_attributes import Direction
from ..description.session_description import Line, MediaDescription
from ..errors import Refusal
from ..keying.method import KeyingMethod, KeyingResult
from ..keying.none import NoKeying
from ..sdescriptions.keying import DEFAULT_SUITES, Sdescriptions
from ..sdescriptions.suites import check_suites

_TOKEN = re.compile(r"[!-~]+")


class MediaSecurity(enum.Enum):
    """What is asked of the media: nothing, SRTP where the peer can, or SRTP or no call.

    `PREFERRED` offers RTP/AVP with the lines of the keying methods (RFC 8643), `REQUIRED` offers RTP/SAVP, or
    what the first method asks for.
    """

    OFF = "off"
    PREFERRED = "preferred"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """What this side has for one stream: where it receives, what it speaks, what security it wants.

    `codecs` stand in order of preference. `rtcp_port` is the port of RTCP when it is not `port + 1`; with
    `rtcp_mux` both share `port` where the peer agrees. `ptime` is in milliseconds. `telephone_event` is the payload
    type to offer RFC 4733 events under, None for none. `feedback` offers RTP/AVPF and RTP/SAVPF (RFC 4585).
    `mid` identifies the section (RFC 5888). `attributes` are lines to add to the section as they are, and
    `session_attributes` (as a=ice-lite) to the session.

    `keying` are the methods in order of preference. Without any, it is security descriptions of `crypto_suites`,
    with an MKI of `mki_length` bytes on our keys, and `lifetime` stated as `|2^31` and the like where a peer
    insists on one.

    Words count as members of the enums. Raises ValueError, which lists them, for another one, for a crypto suite that
    there is not, for a value of another type, and for what cannot stand in SDP: white space in `address`, `media` or
    `mid`, ports and payload types out of range, no codec.
    """

    address: str
    port: int
    codecs: tuple[Codec, ...] = (PCMU, PCMA)
    security: MediaSecurity = MediaSecurity.REQUIRED
    crypto_suites: tuple[str, ...] = DEFAULT_SUITES
    direction: Direction = Direction.SENDRECV
    rtcp_port: int | None = None
    rtcp_mux: bool = True
    ptime: int = 20
    mki_length: int = 0
    lifetime: int | None = None
    media: str = "audio"
    telephone_event: int | None = None
    feedback: bool = False
    mid: str | None = None
    attributes: tuple[Line, ...] = ()
    session_attributes: tuple[Line, ...] = ()
    keying: tuple[KeyingMethod, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        check_suites(self.crypto_suites)
        for name in ("address", "media", "mid"):
            text = getattr(self, name)
            if text is not None and not _TOKEN.fullmatch(text):
                raise ValueError(f"{name} is {text[:40]!r}, it must be one word without white space and controls")
        for name, most in (("port", 65535), ("rtcp_port", 65535), ("telephone_event", 127)):
            number = getattr(self, name)
            if number is not None and not 0 <= number <= most:
                raise ValueError(f"{name} is {number}, it must be from 0 to {most}")
        if self.ptime < 1:
            raise ValueError(f"ptime is {self.ptime}, it must be milliseconds, at least 1")
        if not self.codecs:
            raise ValueError("codecs is empty: a stream needs one")

    def keying_methods(self, *, secured: bool = False) -> tuple[KeyingMethod, ...]:
        """Returns the methods that may be used, the preferred first; never plain RTP for what is `secured`."""
        if self.security is MediaSecurity.OFF:
            return () if secured else (NoKeying(),)
        methods: tuple[KeyingMethod, ...] = self.keying or (
            Sdescriptions(self.crypto_suites, self.mki_length, lifetime=self.lifetime),
        )
        methods = tuple(method for method in methods if method.name != "none")
        if secured or self.security is MediaSecurity.REQUIRED:
            return methods
        return (*methods, NoKeying())


@dataclass(frozen=True, slots=True)
class NegotiatedMedia:
    """What both sides agreed on for one stream: where to send, what, and how it is protected.

    `payload_type` is that of the packets we send, `receive_payload_type` that of those we receive (None: the same).
    `telephone_event_payload_type` is that of the events the peer takes (RFC 4733), `receive_telephone_event` that of
    those it may send; None for none. `codecs` are all that both sides can take, `codec` the one to send. `fmtp` are
    the peer's parameters for it.
    `outbound` protects what we send, `inbound` unprotects what we receive; both are None for plain RTP, and while
    the keys are still to come (`keys_pending`). `rtcp_outbound` and `rtcp_inbound` do so for RTCP where that has a
    handshake of its own (DTLS-SRTP without rtcp-mux), and are None where it has not.

    `refusals` are the offered lines that were not taken, each with its reason. `lifetime` is the shortest one of the
    keys', in packets. `index` is the place among the m= lines, `stream` that among our LocalMedia; `remote_section` is
    the peer's section as it was read. `bundled_with` is the stream whose transport, keys and a=rtcp-mux carry this one
    too (RFC 9143), None when it has its own; `mid_extension` is the header extension that names the `mid` in packets.
    """

    remote_address: str
    remote_port: int
    remote_rtcp_port: int
    rtcp_mux: bool
    protocol: str
    codec: Codec
    payload_type: int
    direction: Direction
    ptime: int
    crypto_suite: str | None = None
    outbound: Policy | None = None
    inbound: Policy | None = None
    lifetime: int | None = None
    telephone_event_payload_type: int | None = None
    refusals: tuple[Refusal, ...] = ()
    remote_rtcp_address: str | None = None
    receive_payload_type: int | None = None
    receive_telephone_event: int | None = None
    codecs: tuple[SharedCodec, ...] = ()
    fmtp: str = ""
    keying: KeyingResult | None = None
    media: str = "audio"
    mid: str | None = None
    index: int = 0
    stream: int = 0
    rtcp_outbound: Policy | None = None
    rtcp_inbound: Policy | None = None
    remote_section: MediaDescription | None = field(default=None, repr=False)
    bundled_with: int | None = None
    mid_extension: int | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def secured(self) -> bool:
        """Whether the media is SRTP, its keys there or still to come."""
        return self.outbound is not None or self.keys_pending

    @property
    def keys_pending(self) -> bool:
        """Whether SRTP was agreed on and its keys are not there yet: nothing may be sent or taken until then."""
        return self.outbound is None and self.keying is not None and self.keying.secured


@dataclass(frozen=True, slots=True)
class SessionAgreement:
    """The streams of a session by m= line, None for one that was rejected, and all that was refused."""

    media: tuple[NegotiatedMedia | None, ...]
    refusals: tuple[Refusal, ...] = ()

    def of_stream(self, stream: int) -> NegotiatedMedia | None:
        """Returns what was agreed for one of our LocalMedia, by its place; None when it is in no accepted section."""
        return next((one for one in self.media if one is not None and one.stream == stream), None)
