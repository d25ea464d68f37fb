"""Offer/answer of a whole session (RFC 3264): several streams, re-offers, hold; SDP text in and out, policies out."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace

from srtp.field_checks import as_flag, as_member

from ..description.media_attributes import mid_of, telephone_event_of
from ..description.session_description import Line, MediaDescription, SessionDescription
from ..errors import NegotiationError, Refusal
from ..keying.method import (
    KeyingLines,
    KeyingMethod,
    KeyingOffer,
    LocalSection,
    RemoteSection,
    media_name,
    protocol_name,
)
from .agreement import LocalMedia, MediaSecurity, NegotiatedMedia, SessionAgreement
from .bundle import (
    MID_EXTENSION,
    Bundle,
    BundlePolicy,
    answered_bundle,
    carried,
    free_mid,
    mid_extension_line,
    mid_extension_of,
    shared_section,
)
from .offer_examination import OfferExamination, ReceivedOffer, Slot, keying_in_force
from .section_examination import (
    ExaminedSection,
    agreement,
    answered_keying,
    moved,
    subject_of,
)
from .section_text import SectionPlan, description_of, rejected_section, section_of

REQUEST_PENDING = 491


@dataclass(frozen=True, slots=True)
class _Offer:
    """An offer of ours that has no answer yet; `keying` by slot, none for one that `bundle` carries."""

    slots: tuple[Slot, ...]
    keying: tuple[tuple[KeyingOffer, ...], ...]
    bundle: Bundle | None = None


class SessionNegotiation:
    """The offer/answer state of one session; sans-IO.

    Either create_offer() then receive_answer(), or receive_offer() then create_answer(), as often as wanted. A
    failed exchange changes nothing: what was agreed stays (RFC 3264 8). A stream that was secured once is never
    offered, accepted or answered in clear again. The settings of the streams can be
    replaced at any time by set_media(), which takes effect with the next offer or answer.

    `bundle` says what is done about BUNDLE (RFC 9143). Streams of one address and port are for a group only: without
    one the first of them is taken. In a group the address, port and keying of one stream hold for all in it, which
    NegotiatedMedia.bundled_with names; `securertc.MediaBundle` then has one transport for all.
    `repeat_transport` writes the group's attributes of transport (as a=ice-ufrag) into all of its sections: RFC 9143
    7.1.3 wants them in one, and some peers, aiortc among them, in each.
    """

    def __init__(
        self, media: Iterable[LocalMedia], *, bundle: BundlePolicy = BundlePolicy.OFF, repeat_transport: bool = False
    ) -> None:
        if isinstance(media, LocalMedia):
            raise TypeError("media is one LocalMedia, it must be an iterable of them, as (media,)")
        self.media: list[LocalMedia] = [_local_media(one) for one in media]
        self.bundle = as_member(BundlePolicy, bundle, "bundle")
        self._repeat = as_flag(repeat_transport, "repeat_transport")
        self._bundle: Bundle | None = None
        self.agreement: SessionAgreement | None = None
        self._session_id = secrets.randbits(62)
        self._version = 0
        self._slots: tuple[Slot, ...] = ()
        self._held: set[int] = set()
        self._removed: set[int] = set()
        self._secured: set[int] = set()
        self._offer: _Offer | None = None
        self._received: ReceivedOffer | None = None

    def set_media(self, stream: int, media: LocalMedia) -> None:
        """Replaces the settings of a stream; raises ValueError for a number that no stream has."""
        self.media[self._known(stream)] = _local_media(media)

    def add_media(self, media: LocalMedia) -> int:
        """Adds a stream, to be offered next; returns its number."""
        self.media.append(_local_media(media))
        return len(self.media) - 1

    def remove_media(self, stream: int) -> None:
        """Ends a stream: the next offer or answer disables it (RFC 3264 8.2). Its number is not used again.

        Raises ValueError for a number that no stream has.
        """
        self._removed.add(self._known(stream))

    def hold(self, *streams: int) -> None:
        """Holds the peer in these streams, or in all (RFC 3264 8.4); create_offer() then tells it.

        Raises ValueError for a number that no stream has.
        """
        self._held |= {self._known(one) for one in streams} or set(range(len(self.media)))

    def resume(self, *streams: int) -> None:
        """Ends a hold; raises ValueError as hold() does."""
        self._held -= {self._known(one) for one in streams} or set(range(len(self.media)))

    def _known(self, stream: int) -> int:
        if type(stream) is not int or not 0 <= stream < len(self.media):
            raise ValueError(
                f"there is no stream {stream!r}, streams are numbers from 0, here {len(self.media)} of them"
            )
        return stream

    def withdraw(self) -> None:
        """Forgets an exchange that was not completed, as when our offer was refused or we refuse the peer's."""
        self._offer = self._received = None

    def fork(self) -> SessionNegotiation:
        """Returns a copy that waits for an answer to the same offer, for each further one of a forked INVITE.

        All who got the offer know its keys, so that rekeying is due after the first answer too (RFC 4568 7.3): by
        create_offer(rekey=True), for the further ones from a transport address of their own.
        """
        twin = SessionNegotiation(self.media, bundle=self.bundle, repeat_transport=self._repeat)
        twin._bundle = self._bundle
        twin.agreement = self.agreement
        twin._session_id, twin._version, twin._slots = self._session_id, self._version, self._slots
        twin._held, twin._removed, twin._secured = set(self._held), set(self._removed), set(self._secured)
        twin._offer = self._offer
        return twin

    def create_offer(self, *, rekey: bool = False) -> str:
        """Returns an offer of all streams, each where it stood before.

        Keys stay as they are where the transport address does, unless `rekey`. Raises NegotiationError (status 491)
        while an offer of the peer's waits for its answer, and when a keying method cannot make an offer.
        """
        if self._received is not None:
            raise NegotiationError("the peer's offer has to be answered first", status=REQUEST_PENDING)
        streams = self._placed_streams()
        bundle = self._offered_bundle(streams)
        slots: dict[int, Slot] = {}
        keying: dict[int, tuple[KeyingOffer, ...]] = {}
        for index in _tagged_first(len(streams), bundle):
            stream = streams[index]
            before = self._slots[index] if index < len(self._slots) else None
            if stream is None or stream in self._removed:
                assert before is not None
                slots[index], keying[index] = Slot(rejected_section(before.sent), before.address), ()
                continue
            tagged = slots[bundle.tagged] if bundle is not None and bundle.shares(index) else None
            plan = self._offered_plan(index, stream, before, bundle, [slot.sent for slot in slots.values()])
            only = self.bundle is BundlePolicy.ONLY or (
                tagged is not None and _own_address(tagged) == self._place(stream)
            )
            if tagged is not None and (self._bundle is not None or only):
                section = section_of(self._local(stream), plan, KeyingLines(), self.media[0].address)
                section = shared_section(section, tagged.sent, only=self._bundle is None, repeat=self._repeat)
                slots[index] = Slot(section, tagged.address, stream, before.agreed if before else None)
                keying[index] = ()
                continue
            slots[index], keying[index] = self._offered_section(index, stream, before, plan, rekey=rekey)
        ordered = tuple(slots[index] for index in range(len(streams)))
        offers = tuple(keying[index] for index in range(len(streams)))
        session_lines = [line for one in offers for offer in one for line in offer.lines.session]
        text = self._text([slot.sent for slot in ordered], session_lines, bundle)
        self._offer = _Offer(ordered, offers, bundle)
        return text

    def _placed_streams(self) -> list[int | None]:
        """Our streams by the m= line each is to have in an offer."""
        placed = {slot.stream for slot in self._slots}
        streams = [slot.stream for slot in self._slots]
        for number in range(len(self.media)):
            if number not in placed | self._removed:
                # RFC 3264 8.1: a new stream may take the place of a disabled one.
                vacant = streams.index(None) if None in streams else len(streams)
                streams[vacant : vacant + 1] = [number]
        return streams

    def _offered_bundle(self, streams: list[int | None]) -> Bundle | None:
        """The group to offer: the one in force with what is new, or a first one in the first offer of the session."""
        live = [
            index
            for index, stream in enumerate(streams)
            if stream is not None and stream not in self._removed and self.media[stream].rtcp_mux
        ]
        if self._bundle is None:
            if not live or not self.bundle.offers or self.agreement is not None:
                return None
            return Bundle(live[0], tuple(live))
        alone = {
            index
            for index, slot in enumerate(self._slots)
            if slot.stream is not None and index not in self._bundle.members
        }
        members = tuple(index for index in live if index not in alone)
        if not members:
            return None
        return Bundle(self._bundle.tagged if self._bundle.tagged in members else members[0], members)

    def _offered_plan(
        self, index: int, stream: int, before: Slot | None, bundle: Bundle | None, others: list[MediaDescription]
    ) -> SectionPlan:
        local = self._local(stream)
        agreed = before.agreed if before else None
        methods = local.keying_methods(secured=stream in self._secured)
        protocol = agreed.protocol if agreed is not None and agreed.secured else _protocol(local, methods)
        mid = local.mid or (agreed.mid if agreed else None)
        more: tuple[Line, ...] = ()
        if bundle is not None and index in bundle.members:
            used = [*map(mid_of, others), *(slot.agreed.mid for slot in self._slots if slot.agreed)]
            mid = mid or free_mid(index, [*used, *(one.mid for one in self.media)])
            agreed_ids = [slot.agreed.mid_extension for slot in self._slots if slot.agreed]
            more = (mid_extension_line(next(filter(None, agreed_ids), None), self.media),)
        return SectionPlan(
            protocol,
            tuple((codec.payload_type, codec) for codec in local.codecs),
            local.telephone_event,
            local.direction,
            local.ptime,
            rtcp_mux=local.rtcp_mux,
            mid=mid,
            more=more,
        )

    def _offered_section(
        self, index: int, stream: int, before: Slot | None, plan: SectionPlan, *, rekey: bool
    ) -> tuple[Slot, tuple[KeyingOffer, ...]]:
        local = self._local(stream)
        agreed = before.agreed if before else None
        previous = agreed.keying if agreed else None
        methods = local.keying_methods(secured=stream in self._secured)
        fresh = rekey or _new_keys_due(before, local)
        place = LocalSection(index, plan.protocol, local.address, local.port, previous, fresh)
        offers = tuple(method.create_offer(place) for method in methods if method.takes(plan.protocol))
        if not offers:
            raise NegotiationError(f"no keying method can be offered under {plan.protocol}")
        lines = KeyingLines(tuple(line for offer in offers for line in offer.lines.media))
        section = section_of(local, plan, lines, self.media[0].address)
        return Slot(section, local.address, stream, agreed), offers

    def receive_answer(self, text: str | bytes) -> SessionAgreement:
        """Takes the answer to create_offer() and returns what was agreed.

        Raises SdpParseError for what is no SDP, and NegotiationError when there is no offer, when the answer has not
        the m= lines of the offer, or for an accepted stream has no codec of the offer or not the security that was
        required. Nothing changes then, and another answer may still be taken; what was agreed before holds.
        """
        offer = self._offer
        if offer is None:
            raise NegotiationError("there is no offer to be answered")
        answer = SessionDescription.parse(text)
        if len(answer.media) != len(offer.slots):
            raise NegotiationError(f"the answer has {len(answer.media)} m= lines for {len(offer.slots)} offered")
        bundle = self._answered_bundle(answer, offer)
        if bundle is not None:
            answer = carried(answer, bundle)
        slots: dict[int, Slot] = {}
        refusals: list[Refusal] = []
        for index in _tagged_first(len(offer.slots), bundle):
            slot, section = offer.slots[index], answer.media[index]
            if section.media != slot.sent.media:
                raise NegotiationError(f"the answer has {media_name(section)} where {slot.sent.media} was offered")
            if slot.stream is None or section.port == 0:
                if slot.stream is not None:
                    refusals.append(Refusal(subject_of(section), "rejected", "the answer rejects the stream"))
                slots[index] = replace(slot, agreed=None)
                continue
            carrier = slots[bundle.tagged].agreed if bundle is not None and bundle.shares(index) else None
            agreed = self._answered(answer, index, slot, offer.keying[index], carrier)
            if bundle is not None and index in bundle.members:
                agreed = replace(
                    agreed,
                    bundled_with=None if carrier is None else carrier.stream,
                    mid_extension=mid_extension_of(section),
                )
            slots[index] = replace(slot, agreed=agreed)
        return self._commit([slots[index] for index in range(len(offer.slots))], refusals, bundle)

    def _answered_bundle(self, answer: SessionDescription, offer: _Offer) -> Bundle | None:
        """The group that an answer has; raises NegotiationError when it is not one that was offered."""
        sent = tuple(slot.sent for slot in offer.slots)
        bundle = None if offer.bundle is None else answered_bundle(answer, sent, offer.bundle)
        kept = self._bundle is None or bundle is None or offer.bundle is None or bundle.tagged == offer.bundle.tagged
        if not kept:
            raise NegotiationError("the answer changes which section of the BUNDLE group carries the others")
        for index, section in enumerate(answer.media):
            alone = bundle is None or index not in bundle.members
            if alone and section.port and sent[index].port == 0 and offer.slots[index].stream is not None:
                raise NegotiationError("the answer takes a bundle-only section out of its group")
        return bundle

    def _answered(
        self,
        answer: SessionDescription,
        index: int,
        slot: Slot,
        offers: tuple[KeyingOffer, ...],
        carrier: NegotiatedMedia | None,
    ) -> NegotiatedMedia:
        section = answer.media[index]
        assert slot.stream is not None
        if section.protocol != slot.sent.protocol:
            raise NegotiationError(f"the answer has {protocol_name(section)} where {slot.sent.protocol} was offered")
        remote = RemoteSection(answer, index, section, slot.agreed.keying if slot.agreed else None)
        local = self._local(slot.stream)
        required = slot.stream in self._secured or local.security is MediaSecurity.REQUIRED
        if carrier is None:
            result = answered_keying(offers, remote, required=required)
        else:
            assert carrier.keying is not None
            result, local = carrier.keying, replace(local, rtcp_mux=True)
            allowed = [method.name for method in local.keying_methods(secured=slot.stream in self._secured)]
            if result.method not in allowed:
                raise NegotiationError(f"the stream's group is keyed by {result.method}, which is not allowed for it")
            if required and not result.secured:
                raise NegotiationError("SRTP is required, and the section that carries the stream has none")
        return agreement(remote, local, result, stream=slot.stream, answer=True)

    def receive_offer(self, text: str | bytes) -> None:
        """Takes an offer; create_answer() then answers it.

        Raises SdpParseError for what is no SDP, and NegotiationError: with status 491 while an offer of ours waits
        for its answer; with 488 when the offer has fewer m= lines than the session or none of its streams can be
        accepted; its `refusals` say why for every line that was looked at.
        """
        if self._offer is not None:
            raise NegotiationError("an offer of ours waits for its answer", status=REQUEST_PENDING)
        offer = SessionDescription.parse(text)
        if len(offer.media) < len(self._slots):
            raise NegotiationError(f"the offer has {len(offer.media)} m= lines, the session {len(self._slots)}")
        received = self._examination().examine(offer)
        if offer.media and not any(received.examined) and any(section.port for section in offer.media):
            media = " or ".join(sorted({local.media for local in self.media}))
            raise NegotiationError(f"no {media} stream of the offer is acceptable", refusals=received.refusals)
        self._received = received

    def _examination(self) -> OfferExamination:
        media = [self._local(stream) for stream in range(len(self.media))]
        secured, removed = frozenset(self._secured), frozenset(self._removed)
        return OfferExamination(media, self._slots, removed, secured, self.bundle, self._bundle)

    @property
    def acceptable(self) -> tuple[frozenset[int], tuple[Refusal, ...]]:
        """Which of our streams the offer received would have in its answer, and what of it was refused."""
        if self._received is None:
            return frozenset(), ()
        return frozenset(one[0] for one in self._received.examined if one is not None), self._received.refusals

    def create_answer(self, *, rekey: bool = False) -> str:
        """Returns the answer to the offer received, and sets `agreement`.

        Streams that cannot be accepted are rejected in their places. Keys stay as they are where neither transport
        addresses nor the peer's keys changed, unless `rekey`. Raises NegotiationError when no offer was received.
        """
        received = self._received
        if received is None:
            raise NegotiationError("there is no offer to answer")
        slots: dict[int, Slot] = {}
        bundle, refusals = received.bundle, list(received.refusals)
        session_lines: list[Line] = []
        for index in _tagged_first(len(received.description.media), bundle):
            found = received.examined[index]
            tagged = None if bundle is None else slots.get(bundle.tagged)
            lost = bundle is not None and bundle.shares(index) and (tagged is None or tagged.agreed is None)
            if found is None or found[0] in self._removed or lost:
                slots[index] = self._rejected_slot(received, index)
            elif self._place(found[0]) in {(one.address, one.sent.port) for one in slots.values()} and (
                bundle is None or not bundle.shares(index)
            ):
                # Our one transport for several streams needs the group.
                slots[index] = self._rejected_slot(received, index)
                subject = subject_of(received.description.media[index])
                refusals.append(Refusal(subject, "bundle", "its transport is that of another stream, without a group"))
            elif bundle is not None and tagged is not None and bundle.shares(index):
                slots[index] = self._carried_section(received, index, *found, tagged)
            else:
                slots[index], lines = self._answer_section(received, index, *found, rekey=rekey)
                session_lines += lines
        ordered = [slots[index] for index in range(len(slots))]
        if bundle is not None:
            members = tuple(index for index in bundle.members if slots[index].agreed is not None)
            bundle = Bundle(bundle.tagged, members) if bundle.tagged in members else None
        text = self._text([slot.sent for slot in ordered], session_lines, bundle)
        self._commit(ordered, refusals, bundle)
        return text

    def _rejected_slot(self, received: ReceivedOffer, index: int) -> Slot:
        address = self.media[0].address if self.media else "127.0.0.1"
        return Slot(rejected_section(received.description.media[index]), address)

    def _place(self, stream: int) -> tuple[str, int]:
        return self.media[stream].address, self.media[stream].port

    def _carried_section(
        self, received: ReceivedOffer, index: int, stream: int, examined: ExaminedSection, tagged: Slot
    ) -> Slot:
        """Our section of a group behind the tagged one: no keys, and the port of that one."""
        assert tagged.agreed is not None
        assert tagged.agreed.keying is not None
        local, result = replace(self._local(stream), rtcp_mux=True), tagged.agreed.keying
        if not result.secured and (stream in self._secured or local.security is MediaSecurity.REQUIRED):
            raise NegotiationError("SRTP is required, and the section that carries the stream has none")
        remote = RemoteSection(
            received.description, index, received.description.media[index], keying_in_force(self._slots, index)
        )
        agreed = agreement(remote, local, result, stream=stream, answer=False, refusals=examined.refusals)
        agreed = replace(agreed, bundled_with=tagged.stream, mid_extension=mid_extension_of(remote.section))
        plan = self._answer_plan(received, local, agreed, examined)
        ours = section_of(local, plan, KeyingLines(), self.media[0].address)
        return Slot(shared_section(ours, tagged.sent, only=False, repeat=self._repeat), tagged.address, stream, agreed)

    def _answer_section(
        self, received: ReceivedOffer, index: int, stream: int, examined: ExaminedSection, *, rekey: bool
    ) -> tuple[Slot, tuple[Line, ...]]:
        local = self._local(stream)
        before = self._slots[index] if index < len(self._slots) else None
        previous = keying_in_force(self._slots, index)
        configuration = examined.configuration
        section = configuration.section
        remote = RemoteSection(configuration.description, index, section, previous)
        address = configuration.description.address_of(section) or ""
        fresh = rekey or _new_keys_due(before, local) or moved(before.agreed if before else None, address, section.port)
        place = LocalSection(index, section.protocol, local.address, local.port, previous, fresh)
        answer = examined.proposal.create_answer(place)
        if not answer.result.secured and (stream in self._secured or local.security is MediaSecurity.REQUIRED):
            raise NegotiationError(f"SRTP is required, and {examined.method.name} gives none")
        agreed = agreement(remote, local, answer.result, stream=stream, answer=False, refusals=examined.refusals)
        if received.bundle is not None and index in received.bundle.members:
            # RFC 9143 9.3.1.2: RTCP is on the port of RTP, and on no other.
            local = replace(local, rtcp_port=None)
            agreed = replace(agreed, mid_extension=mid_extension_of(section))
        plan = self._answer_plan(received, local, agreed, examined)
        ours = section_of(local, plan, answer.lines, self.media[0].address)
        return Slot(ours, local.address, stream, agreed), answer.lines.session

    def _answer_plan(
        self, received: ReceivedOffer, local: LocalMedia, agreed: NegotiatedMedia, examined: ExaminedSection
    ) -> SectionPlan:
        configuration = examined.configuration
        section = configuration.section
        event = telephone_event_of(section, agreed.codec.clock_rate) if local.telephone_event is not None else None
        more = (Line("a", f"acfg:{configuration.selected}"),) if configuration.selected else ()
        if agreed.mid_extension is not None:
            more = (*more, Line("a", f"extmap:{agreed.mid_extension} {MID_EXTENSION}"))
        return SectionPlan(
            section.protocol,
            ((agreed.payload_type, agreed.codec),),
            event,
            agreed.direction,
            local.ptime,
            rtcp_mux=agreed.rtcp_mux,
            mid=mid_of(section),
            more=more,
        )

    def _local(self, stream: int) -> LocalMedia:
        """The settings of a stream, with its hold."""
        local = self.media[stream]
        return replace(local, direction=local.direction.held) if stream in self._held else local

    def _commit(self, slots: Iterable[Slot], refusals: Iterable[Refusal], bundle: Bundle | None) -> SessionAgreement:
        self._bundle = bundle
        # The stream of a slot that was rejected is free for another one.
        self._slots = tuple(slot if slot.agreed else replace(slot, stream=None) for slot in slots)
        self._offer = self._received = None
        for slot in self._slots:
            if slot.stream is not None and slot.agreed is not None and slot.agreed.secured:
                self._secured.add(slot.stream)
        every = (*refusals, *(one for slot in self._slots if slot.agreed for one in slot.agreed.refusals))
        self.agreement = SessionAgreement(tuple(slot.agreed for slot in self._slots), every)
        return self.agreement

    def _text(self, sections: list[MediaDescription], session_lines: list[Line], bundle: Bundle | None) -> str:
        self._version += 1
        address = self.media[0].address if self.media else "127.0.0.1"
        group = [] if bundle is None else [bundle.line(map(mid_of, sections))]
        lines = [*group, *session_lines, *(line for local in self.media for line in local.session_attributes)]
        return description_of(self._session_id, self._version, address, sections, lines).serialize()


def _local_media(media: LocalMedia) -> LocalMedia:
    if not isinstance(media, LocalMedia):
        raise TypeError(f"a stream is a {type(media).__name__}, it must be a LocalMedia")
    return media


def _tagged_first(count: int, bundle: Bundle | None) -> list[int]:
    """The indexes of `count` sections, the one that carries a group before those that it carries."""
    return sorted(range(count), key=lambda index: bundle is not None and index != bundle.tagged)


def _protocol(local: LocalMedia, methods: tuple[KeyingMethod, ...]) -> str:
    if local.security is MediaSecurity.REQUIRED and methods:
        return methods[0].protocol(feedback=local.feedback)
    return "RTP/AVPF" if local.feedback else "RTP/AVP"


def _new_keys_due(before: Slot | None, local: LocalMedia) -> bool:
    """Whether a section needs new keys: it had none of its own, or is at another address (RFC 4568 7.1.4)."""
    if before is None or before.agreed is None or before.agreed.keying is None:
        return True
    return before.agreed.bundled_with is not None or _own_address(before) != (local.address, local.port)


def _own_address(slot: Slot) -> tuple[str, int]:
    return slot.address, slot.sent.port
