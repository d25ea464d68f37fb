"""Audio offer/answer (RFC 3264) with sdescriptions: SDP text in and out, `srtp` policies as the result."""

from __future__ import annotations

import enum
import secrets
from dataclasses import dataclass, field, replace

from srtp import Policy

from .crypto_selection import check_answer, fresh_attribute, policy_of, refuse_shared_keys, select
from .errors import NegotiationError, Refusal
from .sdescriptions import CryptoAttribute
from .session_description import MediaDescription, SessionDescription, address_type, numeric_address

PLAIN_PROTOCOLS = ("RTP/AVP", "RTP/AVPF")
SECURE_PROTOCOLS = ("RTP/SAVP", "RTP/SAVPF")


class MediaSecurity(enum.Enum):
    """What is asked of the media: nothing, SRTP where the peer can, or SRTP or no call.

    `PREFERRED` offers RTP/AVP with `a=crypto` (RFC 8643), `REQUIRED` offers RTP/SAVP.
    """

    OFF = "off"
    PREFERRED = "preferred"
    REQUIRED = "required"


class Direction(enum.Enum):
    """Which way media flows, seen from the one who says it (RFC 3264 5.1)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def reversed(self) -> Direction:
        """The same flow seen from the other side."""
        swap = {Direction.SENDONLY: Direction.RECVONLY, Direction.RECVONLY: Direction.SENDONLY}
        return swap.get(self, self)

    @property
    def sends(self) -> bool:
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        return self in (Direction.SENDRECV, Direction.RECVONLY)

    def intersect(self, other: Direction) -> Direction:
        """The flow that both allow."""
        sends, receives = self.sends and other.sends, self.receives and other.receives
        if sends and receives:
            return Direction.SENDRECV
        if sends or receives:
            return Direction.SENDONLY if sends else Direction.RECVONLY
        return Direction.INACTIVE


@dataclass(frozen=True, slots=True)
class Codec:
    """An audio codec as rtpmap names it, with the payload type to offer it under."""

    encoding: str
    clock_rate: int
    payload_type: int

    def matches(self, encoding: str, clock_rate: int) -> bool:
        return self.encoding.lower() == encoding.lower() and self.clock_rate == clock_rate


PCMU = Codec("PCMU", 8000, 0)
PCMA = Codec("PCMA", 8000, 8)
_STATIC = {codec.payload_type: codec for codec in (PCMU, PCMA)}


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """What this side has: where it receives, what it speaks, what security it wants.

    `codecs` and `crypto_suites` stand in order of preference. `rtcp_port` is the port of RTCP when it is not
    `port + 1`; with `rtcp_mux` both share `port` where the peer agrees. `mki_length` puts an MKI of that many
    bytes on our keys; `lifetime` is stated as `|2^31` and the like where a peer insists on one.
    """

    address: str
    port: int
    codecs: tuple[Codec, ...] = (PCMU, PCMA)
    security: MediaSecurity = MediaSecurity.REQUIRED
    crypto_suites: tuple[str, ...] = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")
    direction: Direction = Direction.SENDRECV
    rtcp_port: int | None = None
    rtcp_mux: bool = True
    ptime: int = 20
    mki_length: int = 0
    lifetime: int | None = None


@dataclass(frozen=True, slots=True)
class NegotiatedAudio:
    """What both sides agreed on: where to send, what, and under which policies (None: plain RTP).

    `outbound` protects what we send, `inbound` unprotects what we receive. `refusals` are the offered lines
    that were not taken, each with its reason. `lifetime` is the shorter one of the two keys', in packets.
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

    @property
    def secured(self) -> bool:
        """Whether the media is SRTP."""
        return self.outbound is not None


@dataclass(slots=True)
class AudioNegotiation:
    """One audio stream negotiated by offers and answers; sans-IO, SDP text in and out.

    Either create_offer() then receive_answer(), or receive_offer() then create_answer(). A later offer in
    either direction renegotiates. `negotiated` is the last agreement.
    """

    local: LocalMedia
    negotiated: NegotiatedAudio | None = None
    _session_id: int = field(default_factory=lambda: secrets.randbits(62))
    _version: int = 0
    _offered: tuple[CryptoAttribute, ...] = field(default=(), repr=False)
    _pending_offer: SessionDescription | None = field(default=None, repr=False)
    _pending_index: int = 0
    _pending_crypto: tuple[CryptoAttribute | None, tuple[Refusal, ...]] = field(default=(None, ()), repr=False)

    def create_offer(self) -> str:
        """Returns an offer; every `a=crypto` line in it has a fresh key of its own (RFC 4568 6.1)."""
        local = self.local
        secure = local.security is not MediaSecurity.OFF
        self._offered = ()
        if secure:
            self._offered = tuple(
                fresh_attribute(tag, suite, mki_length=local.mki_length, lifetime=local.lifetime)
                for tag, suite in enumerate(local.crypto_suites, start=1)
            )
        protocol = "RTP/SAVP" if local.security is MediaSecurity.REQUIRED else "RTP/AVP"
        formats = [(codec.payload_type, codec) for codec in local.codecs]
        section = self._audio_section(protocol, formats, self._offered, local.direction, mux=local.rtcp_mux)
        return self._session(section)

    def receive_answer(self, text: str | bytes) -> NegotiatedAudio:
        """Takes the answer to create_offer() and returns the agreement.

        Raises SdpParseError for what is no SDP, and NegotiationError when the answer rejects the stream, has no
        codec of the offer, or does not give the security that was required: RFC 4568 5.1.3's checks of
        tag, suite and key among them. Nothing changes then.
        """
        answer = SessionDescription.parse(text)
        if len(answer.media) != 1:
            raise NegotiationError(f"the answer has {len(answer.media)} m= lines for 1 offered")
        section = answer.media[0]
        if section.media != "audio" or section.port == 0:
            raise NegotiationError("the answer rejects the audio stream")
        crypto = check_answer(self._offered, section, answer)
        if crypto is None:
            self._require_no_security(section, "answer")
        agreed = self._agreement(answer, section, self.local.direction)
        if crypto is not None:
            ours, theirs = crypto
            agreed = _with_crypto(agreed, ours, theirs, ())
        self.negotiated = agreed
        return agreed

    def receive_offer(self, text: str | bytes) -> None:
        """Takes an offer; create_answer() then answers it.

        Raises SdpParseError for what is no SDP, and NegotiationError (status 488) when no audio stream of it
        can be accepted; its `refusals` say why for every line that was looked at.
        """
        offer = SessionDescription.parse(text)
        refusals: list[Refusal] = []
        refuse_shared_keys(offer)
        for index, section in enumerate(offer.media):
            subject = f"m={section.media} {section.protocol}"
            try:
                crypto, lines = self._examine(offer, section)
            except NegotiationError as error:
                refusals += [Refusal(subject, "media", error.reason), *error.refusals]
                continue
            self._pending_offer, self._pending_index = offer, index
            self._pending_crypto = (crypto, (*refusals, *lines))
            return
        raise NegotiationError("no audio stream of the offer is acceptable", refusals=tuple(refusals))

    def create_answer(self) -> str:
        """Returns the answer to the offer received, with exactly one `a=crypto` line and our own key if secured.

        Sets `negotiated`. Raises NegotiationError when no offer was received.
        """
        offer = self._pending_offer
        if offer is None:
            raise NegotiationError("there is no offer to answer")
        section = offer.media[self._pending_index]
        theirs, refusals = self._pending_crypto
        agreed = self._agreement(offer, section, self.local.direction)
        crypto: tuple[CryptoAttribute, ...] = ()
        if theirs is not None:
            ours = fresh_attribute(
                theirs.tag, theirs.crypto_suite, mki_length=self.local.mki_length, lifetime=self.local.lifetime
            )
            crypto = (ours,)
            agreed = _with_crypto(agreed, ours, theirs, refusals)
        formats = [(agreed.payload_type, agreed.codec)]
        ours_section = self._audio_section(section.protocol, formats, crypto, agreed.direction, mux=agreed.rtcp_mux)
        rejected = [_rejected(other) for other in offer.media]
        rejected[self._pending_index] = ours_section
        self._pending_offer = None
        self.negotiated = agreed
        return self._session(*rejected)

    def _examine(
        self, offer: SessionDescription, section: MediaDescription
    ) -> tuple[CryptoAttribute | None, tuple[Refusal, ...]]:
        """The crypto line to take (None: plain RTP) and those refused, or NegotiationError for the section."""
        if section.media != "audio" or section.port == 0:
            raise NegotiationError("no audio stream, or a disabled one")
        if section.protocol not in PLAIN_PROTOCOLS + SECURE_PROTOCOLS:
            raise NegotiationError(f"the transport {section.protocol} is not supported")
        self._agreement(offer, section, self.local.direction)
        secure_only = section.protocol in SECURE_PROTOCOLS
        if self.local.security is MediaSecurity.OFF:
            if secure_only:
                raise NegotiationError(f"{section.protocol} is offered, and media security is off here")
            return None, ()
        chosen, refusals = select(section, self.local.crypto_suites)
        if chosen is None and (secure_only or self.local.security is MediaSecurity.REQUIRED):
            text = "SRTP is required, and no offered a=crypto line is acceptable"
            raise NegotiationError(text, refusals=refusals)
        return chosen, refusals

    def _require_no_security(self, section: MediaDescription, what: str) -> None:
        if self.local.security is MediaSecurity.REQUIRED:
            raise NegotiationError(f"SRTP is required, and the {what} has no a=crypto line")
        if section.protocol in SECURE_PROTOCOLS:
            raise NegotiationError(f"the {what} says {section.protocol} without an a=crypto line")

    def _agreement(
        self, description: SessionDescription, section: MediaDescription, wanted: Direction
    ) -> NegotiatedAudio:
        """Everything of the agreement but the keys."""
        payload_type, codec = self._choose_codec(section)
        address = description.address_of(section)
        numeric = None if address is None else numeric_address(address)
        if numeric is None:
            raise NegotiationError("the stream has no numeric connection address")
        theirs = _direction(description, section)
        # RFC 3264 8.4: the address 0.0.0.0 is the old form of hold.
        held = numeric in ("0.0.0.0", "::")  # noqa: S104  # compared, not bound
        if held:
            theirs = Direction.INACTIVE
        mux = self.local.rtcp_mux and section.attribute("rtcp-mux") is not None
        return NegotiatedAudio(
            remote_address=numeric,
            remote_port=section.port,
            remote_rtcp_port=section.port if mux else _rtcp_port(section),
            rtcp_mux=mux,
            protocol=section.protocol,
            codec=codec,
            payload_type=payload_type,
            direction=wanted.intersect(theirs.reversed),
            ptime=_ptime(section, self.local.ptime),
            telephone_event_payload_type=_telephone_event(section),
        )

    def _choose_codec(self, section: MediaDescription) -> tuple[int, Codec]:
        """Our most preferred codec among the section's formats, under the payload type the peer gave it."""
        rtpmaps = section.rtpmaps()
        offered: list[tuple[int, str, int]] = []
        for text in section.formats:
            if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 127):
                continue
            number = int(text)
            if number in rtpmaps:
                offered.append((number, rtpmaps[number].encoding, rtpmaps[number].clock_rate))
            elif number in _STATIC:
                offered.append((number, _STATIC[number].encoding, _STATIC[number].clock_rate))
        for codec in self.local.codecs:
            for number, encoding, clock_rate in offered:
                if codec.matches(encoding, clock_rate):
                    return number, codec
        names = ", ".join(codec.encoding for codec in self.local.codecs)
        raise NegotiationError(f"the stream has none of the codecs {names}")

    def _audio_section(
        self,
        protocol: str,
        formats: list[tuple[int, Codec]],
        crypto: tuple[CryptoAttribute, ...],
        direction: Direction,
        *,
        mux: bool,
    ) -> str:
        local = self.local
        lines = [f"m=audio {local.port} {protocol} {' '.join(str(number) for number, _ in formats)}"]
        lines += [f"a=rtpmap:{number} {codec.encoding}/{codec.clock_rate}" for number, codec in formats]
        lines.append(f"a=ptime:{local.ptime}")
        lines += [f"a=crypto:{attribute.serialize()}" for attribute in crypto]
        if mux:
            lines.append("a=rtcp-mux")
        if local.rtcp_port is not None:
            lines.append(f"a=rtcp:{local.rtcp_port}")
        lines.append(f"a={direction.value}")
        return "".join(f"{line}\r\n" for line in lines)

    def _session(self, *sections: str) -> str:
        self._version += 1
        kind = address_type(self.local.address)
        head = [
            "v=0",
            f"o=- {self._session_id} {self._version} IN {kind} {self.local.address}",
            "s=-",
            f"c=IN {kind} {self.local.address}",
            "t=0 0",
        ]
        return "".join(f"{line}\r\n" for line in head) + "".join(sections)


def _with_crypto(
    agreed: NegotiatedAudio, ours: CryptoAttribute, theirs: CryptoAttribute, refusals: tuple[Refusal, ...]
) -> NegotiatedAudio:
    lifetimes = [key.lifetime for key in (*ours.keys, *theirs.keys) if key.lifetime is not None]
    return replace(
        agreed,
        crypto_suite=theirs.crypto_suite,
        outbound=policy_of(ours),
        inbound=policy_of(theirs),
        lifetime=min(lifetimes, default=None),
        refusals=refusals,
    )


def _rejected(section: MediaDescription) -> str:
    """The section of an answer that rejects an offered stream: port 0, same place, same formats (RFC 3264 6)."""
    return f"m={section.media} 0 {section.protocol} {' '.join(section.formats)}\r\n"


def _direction(description: SessionDescription, section: MediaDescription) -> Direction:
    for direction in Direction:
        if section.attribute(direction.value) is not None:
            return direction
    for direction in Direction:
        if description.attributes(direction.value):
            return direction
    return Direction.SENDRECV


def _rtcp_port(section: MediaDescription) -> int:
    """The port of a=rtcp (RFC 3605), or the one above RTP's."""
    value = (section.attribute("rtcp") or "").split(" ")[0]
    if value.isascii() and value.isdigit() and len(value) <= 5 and 0 < int(value) <= 65535:
        return int(value)
    return min(section.port + 1, 65535)


def _ptime(section: MediaDescription, default: int) -> int:
    value = section.attribute("ptime") or ""
    if value.isascii() and value.isdigit() and len(value) <= 3 and 1 <= int(value) <= 200:
        return int(value)
    return default


def _telephone_event(section: MediaDescription) -> int | None:
    for number, rtpmap in section.rtpmaps().items():
        if rtpmap.encoding.lower() == "telephone-event" and str(number) in section.formats:
            return number
    return None
