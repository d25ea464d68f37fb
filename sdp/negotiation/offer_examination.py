"""What of a peer's offer can be accepted: which of its m= sections by which stream of ours, in a group or alone."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

from srtp.field_checks import check_fields

from ..description.session_description import MediaDescription, SessionDescription
from ..errors import NegotiationError, Refusal
from ..keying.method import KeyingResult
from .agreement import LocalMedia, NegotiatedMedia
from .bundle import Bundle, BundlePolicy, candidates, carried, enabled_in, group_members
from .section_examination import ExaminedSection, carried_keys, examine, examine_carried, refused, subject_of

# How many sections of an offered group are tried as the one that carries it.
_MAX_CANDIDATES = 8
# A group and how the section that carries it can be accepted.
_Group = tuple[Bundle, ExaminedSection]


@dataclass(frozen=True, slots=True)
class Slot:
    """One m= line of the session: our section as last sent, whose stream it is, and what was agreed."""

    sent: MediaDescription
    address: str
    stream: int | None = None
    agreed: NegotiatedMedia | None = None


@dataclass(frozen=True, slots=True)
class ReceivedOffer:
    """An offer of the peer's that has no answer yet; `examined` by m= line, with the stream it is for."""

    description: SessionDescription
    examined: tuple[tuple[int, ExaminedSection] | None, ...]
    refusals: tuple[Refusal, ...]
    bundle: Bundle | None = None


@dataclass(frozen=True, slots=True)
class OfferExamination:
    """What offers are examined against: our streams, the slots of the session, and what was agreed before.

    `media` are our streams as they stand, holds included; `removed` and `secured` are numbers of streams, `in_force`
    is the BUNDLE group agreed on.
    """

    media: list[LocalMedia]
    slots: tuple[Slot, ...]
    removed: frozenset[int]
    secured: frozenset[int]
    policy: BundlePolicy
    in_force: Bundle | None

    def __post_init__(self) -> None:
        check_fields(self)

    def examine(self, offer: SessionDescription) -> ReceivedOffer:
        """Returns what can be accepted; raises NegotiationError when the section that carries a group cannot."""
        return self._examine_bundled(offer) or self._examine_all(offer, None)

    def _examine_bundled(self, offer: SessionDescription) -> ReceivedOffer | None:
        """What of an offer can be accepted with its BUNDLE group; None where it has none that we can take."""
        members = () if self.policy is BundlePolicy.OFF else enabled_in(offer, group_members(offer))
        for tagged in candidates(offer, members)[:_MAX_CANDIDATES]:
            carrier = self._carrier(offer, tagged)
            if carrier is not None:
                # A section of another transport protocol cannot be carried, and stands alone.
                same = tuple(one for one in members if offer.media[one].protocol == offer.media[tagged].protocol)
                bundle = Bundle(tagged, same)
                received = self._examine_all(carried(offer, bundle), (bundle, carrier))
                found = received.examined[tagged]
                if found is not None and found[1].method.name == carrier.method.name:
                    rejected = [one for index in same if bundle.shares(index) for one in carried_keys(offer, index)]
                    return replace(received, refusals=(*received.refusals, *rejected))
            if self.in_force is not None and tagged in self.in_force.members:
                # 7.3.3: once there is a group, the section that leads it cannot be rejected by itself.
                raise NegotiationError("the section that carries the BUNDLE group is not acceptable")
        return None

    def _carrier(self, offer: SessionDescription, index: int) -> ExaminedSection | None:
        """How an offered section could be accepted as the one that carries its group, None when it cannot."""
        in_place = self._streams_in_place(offer)
        streams = [in_place[index]] if index in in_place else self._free_streams(in_place)
        for stream in streams:
            local = self.media[stream]
            if local.media != offer.media[index].media or not local.rtcp_mux:
                continue
            with contextlib.suppress(NegotiationError):
                found = examine(offer, index, local, keying_in_force(self.slots, index), stream in self.secured)
                if not found.configuration.selected:
                    return found
        return None

    def _free_streams(self, in_place: dict[int, int]) -> list[int]:
        taken = self.removed.union(in_place.values())
        return [stream for stream in range(len(self.media)) if stream not in taken]

    def _examine_all(self, offer: SessionDescription, group: _Group | None) -> ReceivedOffer:
        """What of each section can be accepted, by which stream; in a group by the keys of who carries it."""
        refusals: list[Refusal] = []
        examined: list[tuple[int, ExaminedSection] | None] = [None] * len(offer.media)
        streams = self._streams_in_place(offer)
        for index, stream in streams.items():
            examined[index] = self._examine(offer, index, stream, refusals, group)
        free = self._free_streams(streams)
        for media in dict.fromkeys(section.media for section in offer.media):
            indexes = [i for i, section in enumerate(offer.media) if section.media == media and i not in streams]
            ours = [stream for stream in free if self.media[stream].media == media]
            for index, found in self._assign(offer, indexes, ours, refusals, group):
                examined[index] = found
        return ReceivedOffer(offer, tuple(examined), tuple(refusals), None if group is None else group[0])

    def _assign(
        self,
        offer: SessionDescription,
        indexes: list[int],
        streams: list[int],
        refusals: list[Refusal],
        group: _Group | None,
    ) -> list[tuple[int, tuple[int, ExaminedSection]]]:
        """Gives new m= lines of one kind to our free streams of that kind, in order.

        When there is one stream for several lines, the first secured one has it: some peers offer a stream twice,
        secured and not, instead of by RFC 8643, and not always in order of preference.
        """
        found: list[tuple[int, tuple[int, ExaminedSection]]] = []
        alone = len(streams) == 1
        free = list(streams)
        for index in indexes:
            one = self._examine(offer, index, free[0] if free else None, refusals, group)
            if one is not None:
                found.append((index, one))
                if not alone:
                    free.pop(0)
        if alone and len(found) > 1:
            best = next((one for one in found if one[1][1].method.name != "none"), found[0])
            refusals += [
                Refusal(subject_of(offer.media[index]), "preference", "another m= line is preferred for the stream")
                for index, _ in found
                if index != best[0]
            ]
            return [best]
        return found

    def _streams_in_place(self, offer: SessionDescription) -> dict[int, int]:
        """Which of our streams the m= lines of an offer continue."""
        found = {}
        for index, slot in enumerate(self.slots):
            section = offer.media[index]
            known = slot.stream is not None and slot.agreed is not None and slot.stream not in self.removed
            if known and section.media == slot.sent.media and section.port:
                assert slot.stream is not None
                found[index] = slot.stream
        return found

    def _examine(
        self,
        offer: SessionDescription,
        index: int,
        stream: int | None,
        refusals: list[Refusal],
        group: _Group | None,
    ) -> tuple[int, ExaminedSection] | None:
        """The stream and what it can be accepted as; else None, with the reasons in `refusals`."""
        section = offer.media[index]
        if stream is None:
            if section.port:
                refusals += refused(subject_of(section), "no stream of ours is for it", self.media, offer, index)
            return None
        local, secured = self.media[stream], stream in self.secured
        try:
            if group is not None and group[0].shares(index):
                return stream, examine_carried(offer, index, local, group[1], secured)
            return stream, examine(offer, index, local, keying_in_force(self.slots, index), secured)
        except NegotiationError as error:
            if error.refusals:
                refusals += (Refusal(subject_of(section), "media", error.reason), *error.refusals)
            else:
                refusals += refused(subject_of(section), error.reason, [self.media[stream]], offer, index)
            return None


def keying_in_force(slots: tuple[Slot, ...], index: int) -> KeyingResult | None:
    """Returns the keying in force for an m= line."""
    agreed = slots[index].agreed if index < len(slots) else None
    return agreed.keying if agreed else None
