"""MIKEY as a keying method of offer/answer: `a=key-mgmt:mikey` of sections and of the session (RFC 4567 4.1.2, 7)."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ..description.session_description import Line, SessionDescription
from ..errors import KeyManagementError, MikeyError, NegotiationError, Refusal
from ..keying.method import (
    SECURE_PROTOCOLS,
    Examined,
    KeyingAnswer,
    KeyingLines,
    KeyingResult,
    KeyingState,
    LocalSection,
    RemoteSection,
)
from .crypto_session_bundle import CryptoSessionBundle
from .exchange import Mode
from .initiator import Initiator, Proposal
from .key_mgmt import (
    MAX_ATTRIBUTES,
    MIKEY,
    KeyMgmtAttribute,
    TakenKeyMgmt,
    check_answered_key_mgmt,
    key_mgmt_attributes,
    key_mgmt_subject,
    refusal_of,
    take_key_mgmt,
)
from .media_lines import streams_of_media
from .parties import Ourselves, Peer
from .replay_cache import ReplayCache
from .responder import Accepted, FindPeer, Responder
from .responder_request import ResponderSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class MikeyResult(KeyingResult):
    """What was agreed: the bundle, and which two of its crypto sessions are this section's.

    `first` says whether we send with the first of the two; it stays so whoever makes the next offer.
    """

    bundle: CryptoSessionBundle
    line: int
    first: bool


@dataclass(frozen=True, slots=True)
class _Message:
    """A message of the peer's that was processed, and in which description it stood."""

    description: SessionDescription
    data: bytes
    accepted: Accepted


class MikeyKeying:
    """MIKEY with these settings, for `LocalMedia.keying`.

    Our offers are made as `proposal` says, whose streams and list of protocols are filled in, to `peer`; each
    section has a message of its own. Offers of others are answered as `settings` say, to whom `find_peer` knows (by
    default only `peer`), whether a message is of a section or of the session. A re-offer that needs no new keys is
    an update of the bundle without any; one that does makes a new bundle.

    `clock` gives seconds since 1970 in UTC. The replay cache should serve all calls of a host. The only other
    thing that is remembered is the last message that was accepted, which several sections may have in common.
    """

    name = MIKEY

    def __init__(
        self,
        ourselves: Ourselves,
        peer: Peer,
        proposal: Proposal,
        *,
        replay_cache: ReplayCache,
        find_peer: FindPeer | None = None,
        settings: ResponderSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.ourselves = ourselves
        self.peer = peer
        self.proposal = proposal
        # A re-offer that wants new keys makes a new bundle: an update is to keep them.
        self.settings = replace(settings or ResponderSettings(), rekey_updates=False)
        self._replay_cache = replay_cache
        self._responder = Responder(ourselves, find_peer or self._only_peer, replay_cache, self.settings)
        self._clock = clock
        self._last: _Message | None = None

    @property
    def hides_keys(self) -> bool:
        """Whether the keys are safe from who reads the SDP, which needs no TLS then."""
        return not self.settings.profile.null_over_tls

    def protocol(self, *, feedback: bool) -> str:
        return "RTP/SAVPF" if feedback else "RTP/SAVP"

    def takes(self, protocol: str) -> bool:
        return protocol in SECURE_PROTOCOLS

    def subjects(self, remote: RemoteSection) -> tuple[str, ...]:
        own = remote.section.attributes("key-mgmt")
        values = own or remote.description.attributes("key-mgmt")
        return tuple(map(key_mgmt_subject, values[:MAX_ATTRIBUTES]))

    def create_offer(self, local: LocalSection) -> MikeyOffer:
        """Returns an offer with a message for this section; raises KeyManagementError when none can be made."""
        previous = local.previous if isinstance(local.previous, MikeyResult) and not local.fresh else None
        # Of an update without keys the map has to stand as it did: it says whose session is which.
        bundle = previous.bundle if previous else None
        proposal = _for_section(self.proposal, bundle)
        try:
            initiator = Initiator(
                proposal,
                self.ourselves,
                self.peer,
                profile=self.settings.profile,
                bundle=bundle,
                replay_cache=self._replay_cache,
            )
            data = initiator.create_message(self._clock())
        except MikeyError as error:
            raise refusal_of(error) from None
        lines = KeyingLines(media=(_line(data),))
        return MikeyOffer(lines, initiator, self._clock, previous)

    def receive_offer(self, remote: RemoteSection) -> Examined:
        """Authenticates the message of an offered section; what is wrong with it becomes a refusal."""
        try:
            taken = take_key_mgmt(remote.description, remote.section)
            if taken is None:
                return Examined(None)
            accepted = self._accept(remote, taken)
            line = 0 if not taken.session_level else secured_line(remote.description, remote.index)
            result = _result(accepted.bundle, *_place(remote.previous, accepted.bundle, line, initiator=False))
        except MikeyError as error:
            return Examined(None, refusal_of(error).refusals)
        except NegotiationError as error:
            return Examined(None, error.refusals or (Refusal("a=key-mgmt", "malformed", error.reason),))
        return Examined(MikeyProposal(taken, accepted, result), taken.refusals)

    def _accept(self, remote: RemoteSection, taken: TakenKeyMgmt) -> Accepted:
        """Processes a message once, however many sections of its description have it."""
        data = taken.attribute.data
        last = self._last
        if last is not None and last.description is remote.description and last.data == data:
            return last.accepted
        bundle = remote.previous.bundle if isinstance(remote.previous, MikeyResult) else None
        accepted = self._responder.receive(data, self._clock(), sdp_ids=taken.prtcl_ids, bundle=bundle)
        self._last = _Message(remote.description, data, accepted)
        return accepted

    def _only_peer(self, claimed: object) -> Peer | None:
        return self.peer if claimed in (None, self.peer.identity) else None


@dataclass(frozen=True, slots=True)
class MikeyProposal:
    """An offered message that was accepted; its answer is the response, at the level where it stood."""

    attribute: TakenKeyMgmt
    accepted: Accepted = field(repr=False)
    result: MikeyResult

    @property
    def taken(self) -> tuple[str, ...]:
        return (self.attribute.attribute.subject,)

    def create_answer(self, local: LocalSection) -> KeyingAnswer:
        """Returns the line with the response; raises KeyManagementError when the offerer asked for none."""
        if self.accepted.response is None:
            # RFC 4567 4.1.2 wants an answer to have the attribute, and our own offers ask for a response.
            raise KeyManagementError("the offered message asks for no response, so that nothing can be answered")
        line = (_line(self.accepted.response),)
        lines = KeyingLines(session=line) if self.attribute.session_level else KeyingLines(media=line)
        return KeyingAnswer(lines, self.result)


@dataclass(frozen=True, slots=True)
class MikeyOffer:
    """A message that was offered in a section. Each answer is read by a copy, as an INVITE may fork."""

    lines: KeyingLines
    initiator: Initiator = field(repr=False)
    clock: Callable[[], float] = field(repr=False)
    previous: MikeyResult | None = None

    def receive_answer(self, remote: RemoteSection) -> MikeyResult | None:
        """Returns what the answer came to; raises KeyManagementError when its message is not acceptable."""
        if not key_mgmt_attributes(remote.description, remote.section):
            return None
        attribute = check_answered_key_mgmt(remote.description, remote.section, (MIKEY,))
        try:
            bundle = copy.copy(self.initiator).receive(attribute.data, self.clock())
            return _result(bundle, *_place(self.previous, bundle, 0, initiator=True))
        except MikeyError as error:
            raise refusal_of(error) from None


def secured_line(description: SessionDescription, index: int) -> int:
    """Returns which of the sections that a message of the session is for is section `index`, from 0.

    Those are the ones with a secure profile and no message of their own (RFC 4567 3.1, 5.2).
    """
    before = description.media[:index]
    return sum(1 for one in before if one.protocol in SECURE_PROTOCOLS and not one.attributes("key-mgmt"))


def _for_section(proposal: Proposal, bundle: CryptoSessionBundle | None) -> Proposal:
    """The proposal for one section: two streams, whose SSRCs the media tell; an update keeps all as it was."""
    values = {name: getattr(proposal, name) for name in Proposal.__dataclass_fields__}
    values |= {"sdp_ids": (MIKEY,), "verification": True}
    if bundle is None:
        return Proposal(**values | {"streams": streams_of_media((0,))})
    values |= {"streams": getattr(bundle.cs_id_map, "entries", ()), "rekey": False, "keys": ()}
    # A cached envelope key is the pre-shared key of updates (RFC 3830 4.5).
    return Proposal(**values | ({"mode": Mode.PSK} if bundle.envelope_key_cached else {}))


def _place(
    previous: KeyingResult | None, bundle: CryptoSessionBundle, line: int, *, initiator: bool
) -> tuple[int, bool]:
    """The line in the bundle and whether its first session is ours: as before, else as who offers has it."""
    if isinstance(previous, MikeyResult) and previous.bundle.csb_id == bundle.csb_id:
        return previous.line, previous.first
    return line, initiator


def _result(bundle: CryptoSessionBundle, line: int, first: bool) -> MikeyResult:
    sending, receiving = bundle.media_sessions(line, initiator=first)
    return MikeyResult(
        method=MIKEY,
        state=KeyingState.KEYED,
        outbound=sending.policy,
        inbound=receiving.policy,
        crypto_suite=sending.policy.profile.name,
        bundle=bundle,
        line=line,
        first=first,
    )


def _line(data: bytes) -> Line:
    return Line("a", f"key-mgmt:{KeyMgmtAttribute(MIKEY, data).serialize()}")
