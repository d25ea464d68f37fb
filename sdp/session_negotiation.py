"""Offer/answer of a whole session (RFC 3264): several streams, re-offers, hold; SDP text in and out, policies out."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace

from .errors import NegotiationError, Refusal
from .keying import KeyingLines, KeyingMethod, KeyingOffer, KeyingResult, LocalSection, RemoteSection
from .media_agreement import LocalMedia, MediaSecurity, NegotiatedMedia, SessionAgreement
from .media_attributes import mid_of, telephone_event_of
from .section_examination import ExaminedSection, agreement, examine, moved
from .section_text import SectionPlan, description_of, rejected_section, section_of
from .session_description import Line, MediaDescription, SessionDescription

REQUEST_PENDING = 491


@dataclass(frozen=True, slots=True)
class _Slot:
    """One m= line of the session: our section as last sent, whose stream it is, and what was agreed."""

    sent: MediaDescription
    address: str
    stream: int | None = None
    agreed: NegotiatedMedia | None = None


@dataclass(frozen=True, slots=True)
class _Offer:
    """An offer of ours that has no answer yet; `keying` by slot."""

    slots: tuple[_Slot, ...]
    keying: tuple[tuple[KeyingOffer, ...], ...]


@dataclass(frozen=True, slots=True)
class _Received:
    """An offer of the peer's that has no answer yet; `examined` by m= line, with the stream it is for."""

    description: SessionDescription
    examined: tuple[tuple[int, ExaminedSection] | None, ...]
    refusals: tuple[Refusal, ...]


class SessionNegotiation:
    """The offer/answer state of one session; sans-IO.

    Either create_offer() then receive_answer(), or receive_offer() then create_answer(), as often as wanted. A
    failed exchange changes nothing: what was agreed stays (RFC 3264 8). A stream that was secured once is never
    offered, accepted or answered in clear again. The settings of the streams can be
    replaced at any time by set_media(), which takes effect with the next offer or answer.
    """

    def __init__(self, media: Iterable[LocalMedia]) -> None:
        self.media: list[LocalMedia] = list(media)
        self.agreement: SessionAgreement | None = None
        self._session_id = secrets.randbits(62)
        self._version = 0
        self._slots: tuple[_Slot, ...] = ()
        self._held: set[int] = set()
        self._removed: set[int] = set()
        self._secured: set[int] = set()
        self._offer: _Offer | None = None
        self._received: _Received | None = None

    def set_media(self, stream: int, media: LocalMedia) -> None:
        """Replaces the settings of a stream."""
        self.media[stream] = media

    def add_media(self, media: LocalMedia) -> int:
        """Adds a stream, to be offered next; returns its number."""
        self.media.append(media)
        return len(self.media) - 1

    def remove_media(self, stream: int) -> None:
        """Ends a stream: the next offer or answer disables it (RFC 3264 8.2). Its number is not used again."""
        self._removed.add(stream)

    def hold(self, *streams: int) -> None:
        """Holds the peer in these streams, or in all (RFC 3264 8.4); create_offer() then tells it."""
        self._held |= set(streams or range(len(self.media)))

    def resume(self, *streams: int) -> None:
        """Ends a hold."""
        self._held -= set(streams or range(len(self.media)))

    def withdraw(self) -> None:
        """Forgets an exchange that was not completed, as when our offer was refused or we refuse the peer's."""
        self._offer = self._received = None

    def fork(self) -> SessionNegotiation:
        """Returns a copy that waits for an answer to the same offer, for each further one of a forked INVITE.

        All who got the offer know its keys, so that rekeying is due after the first answer too (RFC 4568 7.3): by
        create_offer(rekey=True), for the further ones from a transport address of their own.
        """
        twin = SessionNegotiation(self.media)
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
        slots: list[_Slot] = []
        keying: list[tuple[KeyingOffer, ...]] = []
        session_lines: list[Line] = []
        placed = {slot.stream for slot in self._slots}
        streams = [slot.stream for slot in self._slots]
        for number in range(len(self.media)):
            if number not in placed | self._removed:
                # RFC 3264 8.1: a new stream may take the place of a disabled one.
                vacant = streams.index(None) if None in streams else len(streams)
                streams[vacant : vacant + 1] = [number]
        for index, stream in enumerate(streams):
            before = self._slots[index] if index < len(self._slots) else None
            if stream is None or stream in self._removed:
                assert before is not None
                slots.append(_Slot(rejected_section(before.sent), before.address))
                keying.append(())
                continue
            section, offers = self._offered_section(index, stream, before, rekey=rekey)
            session_lines += [line for offer in offers for line in offer.lines.session]
            slots.append(_Slot(section, self.media[stream].address, stream, before.agreed if before else None))
            keying.append(offers)
        text = self._text([slot.sent for slot in slots], session_lines)
        self._offer = _Offer(tuple(slots), tuple(keying))
        return text

    def _offered_section(
        self, index: int, stream: int, before: _Slot | None, *, rekey: bool
    ) -> tuple[MediaDescription, tuple[KeyingOffer, ...]]:
        local = self._local(stream)
        agreed = before.agreed if before else None
        previous = agreed.keying if agreed else None
        methods = local.keying_methods(secured=stream in self._secured)
        protocol = agreed.protocol if agreed is not None and agreed.secured else _protocol(local, methods)
        fresh = rekey or previous is None or before is None or _own_address(before) != (local.address, local.port)
        place = LocalSection(index, protocol, local.address, local.port, previous, fresh)
        offers = tuple(method.create_offer(place) for method in methods if method.takes(protocol))
        if not offers:
            raise NegotiationError(f"no keying method can be offered under {protocol}")
        plan = SectionPlan(
            protocol,
            tuple((codec.payload_type, codec) for codec in local.codecs),
            local.telephone_event,
            local.direction,
            local.ptime,
            rtcp_mux=local.rtcp_mux,
            mid=local.mid or (agreed.mid if agreed else None),
        )
        lines = KeyingLines(tuple(line for offer in offers for line in offer.lines.media))
        return section_of(local, plan, lines, self.media[0].address), offers

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
        slots: list[_Slot] = []
        refusals: list[Refusal] = []
        for index, (slot, section) in enumerate(zip(offer.slots, answer.media, strict=True)):
            subject = f"m={section.media[:20]} {section.protocol[:40]}"
            if section.media != slot.sent.media:
                raise NegotiationError(f"the answer has {section.media[:20]} where {slot.sent.media} was offered")
            if slot.stream is None or section.port == 0:
                if slot.stream is not None:
                    refusals.append(Refusal(subject, "rejected", "the answer rejects the stream"))
                slots.append(replace(slot, agreed=None))
                continue
            agreed = self._answered(answer, index, slot, offer.keying[index])
            slots.append(replace(slot, agreed=agreed))
        return self._commit(slots, refusals)

    def _answered(
        self, answer: SessionDescription, index: int, slot: _Slot, offers: tuple[KeyingOffer, ...]
    ) -> NegotiatedMedia:
        section = answer.media[index]
        assert slot.stream is not None
        if section.protocol != slot.sent.protocol:
            raise NegotiationError(f"the answer has {section.protocol[:40]} where {slot.sent.protocol} was offered")
        remote = RemoteSection(answer, index, section, slot.agreed.keying if slot.agreed else None)
        local = self._local(slot.stream)
        required = slot.stream in self._secured or local.security is MediaSecurity.REQUIRED
        result = _answered_keying(offers, remote, required=required)
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
        refusals: list[Refusal] = []
        examined: list[tuple[int, ExaminedSection] | None] = [None] * len(offer.media)
        streams = self._streams_in_place(offer)
        for index, stream in streams.items():
            examined[index] = self._examine(offer, index, stream, refusals)
        free = [one for one in range(len(self.media)) if one not in streams.values() and one not in self._removed]
        for media in dict.fromkeys(section.media for section in offer.media):
            indexes = [i for i, section in enumerate(offer.media) if section.media == media and i not in streams]
            ours = [stream for stream in free if self.media[stream].media == media]
            for index, found in self._assign(offer, indexes, ours, refusals):
                examined[index] = found
        if offer.media and not any(examined) and any(section.port for section in offer.media):
            media = " or ".join(sorted({local.media for local in self.media}))
            raise NegotiationError(f"no {media} stream of the offer is acceptable", refusals=tuple(refusals))
        self._received = _Received(offer, tuple(examined), tuple(refusals))

    def _assign(
        self, offer: SessionDescription, indexes: list[int], streams: list[int], refusals: list[Refusal]
    ) -> list[tuple[int, tuple[int, ExaminedSection]]]:
        """Gives new m= lines of one kind to our free streams of that kind, in order.

        When there is one stream for several lines, the first secured one has it: some peers offer a stream twice,
        secured and not, instead of by RFC 8643, and not always in order of preference.
        """
        found: list[tuple[int, tuple[int, ExaminedSection]]] = []
        alone = len(streams) == 1
        free = list(streams)
        for index in indexes:
            one = self._examine(offer, index, free[0] if free else None, refusals)
            if one is not None:
                found.append((index, one))
                if not alone:
                    free.pop(0)
        if alone and len(found) > 1:
            best = next((one for one in found if one[1][1].method.name != "none"), found[0])
            refusals += [
                Refusal(_subject(offer.media[index]), "preference", "another m= line is preferred for the stream")
                for index, _ in found
                if index != best[0]
            ]
            return [best]
        return found

    @property
    def acceptable(self) -> tuple[frozenset[int], tuple[Refusal, ...]]:
        """Which of our streams the offer received would have in its answer, and what of it was refused."""
        if self._received is None:
            return frozenset(), ()
        return frozenset(one[0] for one in self._received.examined if one is not None), self._received.refusals

    def _streams_in_place(self, offer: SessionDescription) -> dict[int, int]:
        """Which of our streams the m= lines of an offer continue."""
        found = {}
        for index, slot in enumerate(self._slots):
            section = offer.media[index]
            known = slot.stream is not None and slot.agreed is not None and slot.stream not in self._removed
            if known and section.media == slot.sent.media and section.port:
                assert slot.stream is not None
                found[index] = slot.stream
        return found

    def _examine(
        self, offer: SessionDescription, index: int, stream: int | None, refusals: list[Refusal]
    ) -> tuple[int, ExaminedSection] | None:
        """The stream and what it can be accepted as; else None, with the reasons in `refusals`."""
        section = offer.media[index]
        if stream is None:
            if section.port:
                refusals += _refused(_subject(section), "no stream of ours is for it", self.media, offer, index)
            return None
        try:
            return stream, examine(offer, index, self._local(stream), self._previous(index), stream in self._secured)
        except NegotiationError as error:
            if error.refusals:
                refusals += (Refusal(_subject(section), "media", error.reason), *error.refusals)
            else:
                refusals += _refused(_subject(section), error.reason, [self.media[stream]], offer, index)
            return None

    def create_answer(self, *, rekey: bool = False) -> str:
        """Returns the answer to the offer received, and sets `agreement`.

        Streams that cannot be accepted are rejected in their places. Keys stay as they are where neither transport
        addresses nor the peer's keys changed, unless `rekey`. Raises NegotiationError when no offer was received.
        """
        received = self._received
        if received is None:
            raise NegotiationError("there is no offer to answer")
        slots: list[_Slot] = []
        session_lines: list[Line] = []
        for index, section in enumerate(received.description.media):
            found = received.examined[index]
            if found is None or found[0] in self._removed:
                address = self.media[0].address if self.media else "127.0.0.1"
                slots.append(_Slot(rejected_section(section), address))
                continue
            slot, lines = self._answer_section(received, index, *found, rekey=rekey)
            slots.append(slot)
            session_lines += lines
        text = self._text([slot.sent for slot in slots], session_lines)
        self._commit(slots, received.refusals)
        return text

    def _answer_section(
        self, received: _Received, index: int, stream: int, examined: ExaminedSection, *, rekey: bool
    ) -> tuple[_Slot, tuple[Line, ...]]:
        local = self._local(stream)
        before = self._slots[index] if index < len(self._slots) else None
        previous = self._previous(index)
        configuration = examined.configuration
        section = configuration.section
        remote = RemoteSection(configuration.description, index, section, previous)
        address = configuration.description.address_of(section) or ""
        fresh = rekey or previous is None or before is None or _own_address(before) != (local.address, local.port)
        fresh = fresh or moved(before.agreed if before else None, address, section.port)
        place = LocalSection(index, section.protocol, local.address, local.port, previous, fresh)
        answer = examined.proposal.create_answer(place)
        if not answer.result.secured and (stream in self._secured or local.security is MediaSecurity.REQUIRED):
            raise NegotiationError(f"SRTP is required, and {examined.method.name} gives none")
        agreed = agreement(remote, local, answer.result, stream=stream, answer=False, refusals=examined.refusals)
        event = telephone_event_of(section, agreed.codec.clock_rate) if local.telephone_event is not None else None
        plan = SectionPlan(
            section.protocol,
            ((agreed.payload_type, agreed.codec),),
            event,
            agreed.direction,
            local.ptime,
            rtcp_mux=agreed.rtcp_mux,
            mid=mid_of(section),
            more=(Line("a", f"acfg:{configuration.selected}"),) if configuration.selected else (),
        )
        ours = section_of(local, plan, answer.lines, self.media[0].address)
        return _Slot(ours, local.address, stream, agreed), answer.lines.session

    def _previous(self, index: int) -> KeyingResult | None:
        """The keying in force for an m= line."""
        agreed = self._slots[index].agreed if index < len(self._slots) else None
        return agreed.keying if agreed else None

    def _local(self, stream: int) -> LocalMedia:
        """The settings of a stream, with its hold."""
        local = self.media[stream]
        return replace(local, direction=local.direction.held) if stream in self._held else local

    def _commit(self, slots: Iterable[_Slot], refusals: Iterable[Refusal]) -> SessionAgreement:
        # The stream of a slot that was rejected is free for another one.
        self._slots = tuple(slot if slot.agreed else replace(slot, stream=None) for slot in slots)
        self._offer = self._received = None
        for slot in self._slots:
            if slot.stream is not None and slot.agreed is not None and slot.agreed.secured:
                self._secured.add(slot.stream)
        every = (*refusals, *(one for slot in self._slots if slot.agreed for one in slot.agreed.refusals))
        self.agreement = SessionAgreement(tuple(slot.agreed for slot in self._slots), every)
        return self.agreement

    def _text(self, sections: list[MediaDescription], session_lines: list[Line]) -> str:
        self._version += 1
        address = self.media[0].address if self.media else "127.0.0.1"
        lines = [*session_lines, *(line for local in self.media for line in local.session_attributes)]
        return description_of(self._session_id, self._version, address, sections, lines).serialize()


def _protocol(local: LocalMedia, methods: tuple[KeyingMethod, ...]) -> str:
    if local.security is MediaSecurity.REQUIRED and methods:
        return methods[0].protocol(feedback=local.feedback)
    return "RTP/AVPF" if local.feedback else "RTP/AVP"


def _own_address(slot: _Slot) -> tuple[str, int]:
    return slot.address, slot.sent.port


def _answered_keying(offers: tuple[KeyingOffer, ...], remote: RemoteSection, *, required: bool) -> KeyingResult:
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
        raise NegotiationError(f"the answer says {remote.section.protocol[:40]} without keys for it")
    return results[0]


def _refused(
    subject: str, reason: str, media: list[LocalMedia], offer: SessionDescription, index: int
) -> list[Refusal]:
    """Refusals of a section that was rejected for other reasons than its keying, and of each keying attribute."""
    remote = RemoteSection(offer, index, offer.media[index])
    methods = {method.name: method for local in media for method in local.keying_methods()}
    subjects = dict.fromkeys(subject for method in methods.values() for subject in method.subjects(remote))
    return [Refusal(subject, "media", reason), *(Refusal(one, "media", reason) for one in subjects)]


def _subject(section: MediaDescription) -> str:
    return f"m={section.media[:20]} {section.protocol[:40]}"
