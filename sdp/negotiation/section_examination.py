"""One m= section of the peer's: what of it can be accepted, by which keying method, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass

from srtp.field_checks import check_fields

from ..description.capability_negotiation import Configuration, configurations
from ..description.codecs import SharedCodec, shared_codecs
from ..description.media_attributes import Direction, direction_of, mid_of, ptime_of, rtcp_of, telephone_event_of
from ..description.session_description import MediaDescription, SessionDescription, numeric_address
from ..errors import NegotiationError, Refusal
from ..keying.method import (
    KeyingMethod,
    KeyingOffer,
    KeyingProposal,
    KeyingResult,
    RemoteSection,
    media_name,
    protocol_name,
)
from ..sdescriptions.crypto_attribute import crypto_subject
from .agreement import LocalMedia, NegotiatedMedia

# RFC 3264 8.4: the address 0.0.0.0 is the old form of hold.
HELD_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104  # compared, not bound
# The attributes that key media, and the method that reads each; what no configured method reads is refused by it.
_KEYING_ATTRIBUTES = {
    "crypto": "sdescriptions",
    "key-mgmt": "mikey",
    "fingerprint": "dtls-srtp",
    "zrtp-hash": "zrtp",
}


@dataclass(frozen=True, slots=True)
class ExaminedSection:
    """An offered section that can be accepted: as which configuration, and keyed by which proposal."""

    configuration: Configuration
    method: KeyingMethod
    proposal: KeyingProposal
    refusals: tuple[Refusal, ...]


def examine(
    offer: SessionDescription, index: int, local: LocalMedia, previous: KeyingResult | None, secured: bool
) -> ExaminedSection:
    """Returns how an offered section can be accepted with what we have.

    Of its configurations (RFC 5939) the first is taken that a keying method takes; plain RTP only as it stands.
    `previous` is the keying in force; a stream that was `secured` stays so. Raises NegotiationError, with
    why for every keying attribute, when there is none.
    """
    section = offer.media[index]
    if section.media != local.media or section.port == 0:
        raise NegotiationError(f"no {local.media} stream, or a disabled one")
    methods = local.keying_methods(secured=secured)
    refusals: dict[Refusal, None] = {}
    supported = False
    for configuration in configurations(offer, index):
        try:
            read_section(configuration.description, configuration.section, local, answer=False)
        except NegotiationError:
            if configuration.selected:
                continue
            raise
        protocol = configuration.section.protocol
        remote = RemoteSection(configuration.description, index, configuration.section, previous)
        taking = [method for method in methods if method.takes(protocol)]
        if configuration.selected:
            taking = [method for method in taking if method.name != "none"]
        supported = supported or bool(taking)
        chosen, refused = _choose(taking, remote)
        refusals |= dict.fromkeys(refused)
        if chosen is not None:
            method, proposal = chosen
            return ExaminedSection(configuration, method, proposal, tuple(refusals))
    if not supported:
        text = f"the transport {protocol_name(section)} is not supported, or not what the policy asks for"
        raise NegotiationError(text, refusals=tuple(refusals))
    raise NegotiationError("SRTP is required, and no offered keying attribute is acceptable", refusals=tuple(refusals))


def examine_carried(
    offer: SessionDescription, index: int, local: LocalMedia, carrier: ExaminedSection, secured: bool
) -> ExaminedSection:
    """Returns how a section can be accepted that a BUNDLE group carries, with the keys of `carrier` (RFC 9143 7.1.3).

    `offer` is what bundle.carried() returns. Raises NegotiationError when its media is not ours, or our policy for
    it does not allow what keys the carrier.
    """
    section = offer.media[index]
    if section.media != local.media:
        raise NegotiationError(f"no {local.media} stream")
    read_section(offer, section, local, answer=False)
    if carrier.method.name not in [method.name for method in local.keying_methods(secured=secured)]:
        raise NegotiationError(f"its BUNDLE group is keyed by {carrier.method.name}, which is not allowed for it")
    return ExaminedSection(Configuration(offer, section), carrier.method, carrier.proposal, ())


def carried_keys(offer: SessionDescription, index: int) -> list[Refusal]:
    """Refusals of the keying attributes of a section that a BUNDLE group carries: those of the carrier hold."""
    section = offer.media[index]
    text = "the section that carries its BUNDLE group is keyed instead"
    found = [Refusal(crypto_subject(value), "bundle", text) for value in section.attributes("crypto")]
    others = [name for name in _KEYING_ATTRIBUTES if name != "crypto" and section.attribute(name) is not None]
    return found + [Refusal(f"a={name} of {subject_of(section)}", "bundle", text) for name in others]


def _choose(
    methods: list[KeyingMethod], remote: RemoteSection
) -> tuple[tuple[KeyingMethod, KeyingProposal] | None, tuple[Refusal, ...]]:
    """The first method with a proposal, and a refusal for every keying attribute that it does not take."""
    refusals: list[Refusal] = []
    chosen: tuple[KeyingMethod, KeyingProposal] | None = None
    for method in methods:
        subjects = method.subjects(remote)
        if chosen is not None:
            refusals += [Refusal(subject, "preference", f"keyed by {chosen[0].name} instead") for subject in subjects]
            continue
        examined = method.receive_offer(remote)
        refusals += examined.refusals
        if examined.proposal is not None:
            chosen = method, examined.proposal
    names = {method.name for method in methods}
    for part in (remote.description, remote.section):
        for attribute, method_name in _KEYING_ATTRIBUTES.items():
            count = len(part.attributes(attribute))
            if count and method_name not in names:
                text = f"{method_name} is not allowed by the policy, or not under {protocol_name(remote.section)}"
                refusals.append(Refusal(f"a={attribute}" + (f" ({count} lines)" if count > 1 else ""), "method", text))
    return chosen, tuple(refusals)


@dataclass(frozen=True, slots=True)
class ReadSection:
    """What a section says but its keys."""

    codecs: tuple[SharedCodec, ...]
    address: str
    direction: Direction

    def __post_init__(self) -> None:
        check_fields(self)


def read_section(
    description: SessionDescription, section: MediaDescription, local: LocalMedia, *, answer: bool
) -> ReadSection:
    """Reads codecs, address and direction; raises NegotiationError when no codec is shared or no address numeric.

    Of an offer our order of codecs counts, of an answer the answerer's (RFC 3264 6.1, 7).
    """
    codecs = shared_codecs(section, local.codecs, ours_first=not answer)
    if not codecs:
        names = ", ".join(codec.encoding for codec in local.codecs)
        raise NegotiationError(f"the stream has none of the codecs {names}")
    address = description.address_of(section)
    numeric = None if address is None else numeric_address(address)
    if numeric is None:
        raise NegotiationError("the stream has no numeric connection address")
    # With ICE it only says that no candidate is known yet (RFC 8839 4.2.4.1).
    ice = section.attributes("ice-ufrag") or description.attributes("ice-ufrag")
    held = numeric in HELD_ADDRESSES and not ice
    return ReadSection(codecs, numeric, Direction.INACTIVE if held else direction_of(description, section))


def agreement(
    remote: RemoteSection,
    local: LocalMedia,
    keying: KeyingResult,
    *,
    stream: int,
    answer: bool,
    refusals: tuple[Refusal, ...] = (),
) -> NegotiatedMedia:
    """Returns what a section of the peer's and our side come to, keyed as `keying` says."""
    section = remote.section
    read = read_section(remote.description, section, local, answer=answer)
    first = read.codecs[0]
    mux = local.rtcp_mux and section.attribute("rtcp-mux") is not None
    rtcp_port, rtcp_address = rtcp_of(section)
    event = telephone_event_of(section, first.codec.clock_rate)
    ours = local.telephone_event
    return NegotiatedMedia(
        remote_address=read.address,
        remote_port=section.port,
        remote_rtcp_port=section.port if mux else rtcp_port,
        rtcp_mux=mux,
        protocol=section.protocol,
        codec=first.codec,
        payload_type=first.payload_type,
        direction=local.direction.intersect(read.direction.reversed),
        ptime=ptime_of(section, local.ptime),
        crypto_suite=keying.crypto_suite,
        outbound=keying.outbound,
        inbound=keying.inbound,
        lifetime=keying.lifetime,
        telephone_event_payload_type=event,
        refusals=refusals,
        remote_rtcp_address=None if mux else rtcp_address,
        # We answer with the offerer's payload types; an answerer may have its own (RFC 3264 6.1).
        receive_payload_type=first.codec.payload_type if answer else first.payload_type,
        receive_telephone_event=(ours if answer else event) if ours is not None and event is not None else None,
        codecs=read.codecs,
        fmtp=first.fmtp,
        keying=keying,
        media=section.media,
        mid=mid_of(section),
        index=remote.index,
        stream=stream,
        remote_section=section,
    )


def moved(before: NegotiatedMedia | None, address: str, port: int) -> bool:
    """Whether a peer's transport address is another one than before; not when it only holds (0.0.0.0)."""
    if before is None or address in HELD_ADDRESSES or before.remote_address in HELD_ADDRESSES:
        return False
    return (before.remote_address, before.remote_port) != (address, port)


def answered_keying(offers: tuple[KeyingOffer, ...], remote: RemoteSection, *, required: bool) -> KeyingResult:
    """What the one method came to that an answer took."""
    results = [result for result in (offer.receive_answer(remote) for offer in offers) if result is not None]
    secured = [result for result in results if result.secured]
    if len(secured) > 1:
        names = " and ".join(result.method for result in secured)
        raise NegotiationError(f"the answer keys the stream by {names}, only one of them is allowed")
    if secured:
        return secured[0]
    if required:
        raise NegotiationError("SRTP is required, and the answer has no keys for it")
    if any(remote.section.attributes(name) for name in ("crypto", "key-mgmt")):
        raise NegotiationError("the answer has keys that nobody offered")
    if not results:
        raise NegotiationError(f"the answer says {protocol_name(remote.section)} without keys for it")
    return results[0]


def refused(subject: str, reason: str, media: list[LocalMedia], offer: SessionDescription, index: int) -> list[Refusal]:
    """Refusals of a section that was rejected for other reasons than its keying, and of each keying attribute."""
    remote = RemoteSection(offer, index, offer.media[index])
    methods = {method.name: method for local in media for method in local.keying_methods()}
    subjects = dict.fromkeys(subject for method in methods.values() for subject in method.subjects(remote))
    return [Refusal(subject, "media", reason), *(Refusal(one, "media", reason) for one in subjects)]


def subject_of(section: MediaDescription) -> str:
    """What to call a section."""
    return f"m={media_name(section)} {protocol_name(section)}"
