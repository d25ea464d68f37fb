"""What a request may reach through a proxy: what the Routes that it came by prove, and what is sealed into ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from ..errors import SipParseError
from ..message.header_values import NameAddr
from ..message.message import Request
from ..message.uri import SipUri, Uri
from .dialog_tokens import (
    DialogEnds,
    DialogToken,
    DialogTokenMaker,
    DialogTokens,
    has_flow,
    is_dialog_token,
    place_of_flow,
)
from .events import ProxyTarget, Way
from .response_context import ResponseContext
from .routing import TakenRoutes, next_routes
from .standing import Standing, place_of

_CACHED = 256  # characters of a Contact whose place is kept in mind


class RouteProof:
    """What the Routes of ours that a request came by prove.

    The first tells who sent it, the last whom it goes to; `flow` is the token of the flow that it has to go by.
    """

    __slots__ = ("_ends", "_given", "_request", "_tokens", "flow")

    def __init__(self, taken: TakenRoutes, request: Request, tokens: DialogTokens) -> None:
        self._given = taken.tokens
        self._request = request
        self._tokens = tokens
        self._ends: tuple[DialogToken, ...] | None = None
        self.flow = token = taken.token
        if is_dialog_token(token):
            last = self._last if has_flow(token) else None
            self.flow = None if last is None else last.flow

    def _read(self) -> tuple[DialogToken, ...]:
        """The first and the last token, read when somebody asks; nothing where they do not prove one and the same."""
        if self._ends is None:
            given, self._ends = self._given, ()
            if not given:
                return ()
            last = self._tokens.read(given[-1], self._request)
            first = self._tokens.read(given[0], self._request) if len(given) > 1 else last
            if first is not None and last is not None and first.towards_callee is last.towards_callee:
                self._ends = first, last
        return self._ends

    @property
    def _last(self) -> DialogToken | None:
        ends = self._read()
        return ends[1] if ends else None

    def passes_for_user(self, request: Request, uri: Uri, flow: Way) -> bool:
        """Whether the request may go on for what a user of ours may, who is one end of its dialog.

        Where it came from is all that tells him, which others behind the same address share and some can forge: an ACK,
        which nothing can challenge, goes to wherever the other end has moved, and anything else to where the caller
        said that he is reached. Raises SipParseError.
        """
        ends = self._read()
        if not ends or not ends[0].sender_ours(flow):
            return False
        return request.method == "ACK" or ends[1].leads_where_named(place_of(next_routes(request, uri, ())[2]))

    def source_proven(self, flow: Way) -> bool:
        """Whether its source knows what only the end of the dialog that is there was told."""
        ends = self._read()
        return bool(ends) and ends[0].sent_from(flow)

    def leads_to(self, request: Request, uri: Uri) -> bool:
        """Whether the request, for this target, goes to the other end of its dialog; raises SipParseError."""
        last = self._last
        return last is not None and last.leads_to(place_of(next_routes(request, uri, ())[2]))

    @property
    def receiver_ours(self) -> bool:
        """Whether the other end of the dialog is a user of ours."""
        last = self._last
        return last is not None and last.receiver_ours


class _NoProof(RouteProof):
    """Of a request that came by no Route of ours."""

    __slots__ = ()

    def __init__(self) -> None:
        self.flow = None

    def _read(self) -> tuple[DialogToken, ...]:
        return ()

    def source_proven(self, flow: Way) -> bool:
        return False


NO_PROOF = _NoProof()


def is_among(candidate: ProxyTarget, targets: Sequence[ProxyTarget]) -> bool:
    """Whether a target is at the place of one of those that a user has registered."""
    place = place_of(candidate.uri)
    known = [one.uri for target in targets for one in (target, *target.alternatives) if not one.path]
    return place is not None and place in map(place_of, known)


def secure_ways(targets: Sequence[ProxyTarget]) -> tuple[ProxyTarget, ...]:
    """Returns the targets that a request for a sips URI may go to: those with sips URIs (RFC 5630 5.3)."""
    return _ways(targets, lambda one: isinstance(one.uri, SipUri) and one.uri.secure)


def flows_alone(targets: Sequence[ProxyTarget]) -> tuple[ProxyTarget, ...]:
    """Returns the targets that are flows of ours, to be reached by them or not at all."""
    found = _ways(targets, lambda one: one.flow is not None and not one.path)
    return tuple(replace(_held(one), alternatives=tuple(map(_held, one.alternatives))) for one in found)


def _held(target: ProxyTarget) -> ProxyTarget:
    return replace(target, flow_failure=target.flow_failure or 480)


def _ways(targets: Sequence[ProxyTarget], fits: Callable[[ProxyTarget], bool]) -> tuple[ProxyTarget, ...]:
    """Each target that fits with its alternatives that do; where the target itself does not, the first of them."""
    kept = []
    for target in targets:
        ways = tuple(one for one in (target, *target.alternatives) if fits(one))
        if ways:
            kept.append(replace(ways[0], q=target.q, alternatives=ways[1:]))
    return tuple(kept)


def token_maker(context: ResponseContext, tokens: DialogTokens, outbound: Way, hop: Uri) -> DialogTokenMaker | None:
    """Returns what makes the tokens of a request that goes to `hop` by `outbound`; None where nothing is sealed."""
    server = context.server
    if server is None or context.standing is Standing.OPEN:
        return None
    request, inbound = context.request, server.flow
    ours = context.standing is Standing.USER
    # Where a stranger says that he is reached counts for our user alone: his requests came from somewhere.
    named = _return_place(request) or inbound.remote
    caller = named if ours else inbound.remote
    callee = place_of(hop) or outbound.remote
    ends = DialogEnds(place_of_flow(inbound), caller, ours, place_of_flow(outbound), callee, context.located, named)
    return tokens.create(request, ends)


def _return_place(request: Request) -> tuple[str, int] | None:
    """Where requests to the caller go from here: to the proxy before us that stays on the path, or to his Contact."""
    try:
        record = request.headers.get("Record-Route")
        if record is not None:
            return place_of(request.record_routes[0].uri)
        contact = request.headers.get("Contact")
        if contact is None or len(contact) > _CACHED:
            return None if contact is None else place_of(NameAddr.parse(contact).uri)
        return _contact_place(contact)
    except (SipParseError, IndexError):
        return None


@lru_cache(2048)
def _contact_place(contact: str) -> tuple[str, int] | None:
    """One user calls with the same Contact again and again; raises SipParseError."""
    return place_of(NameAddr.parse(contact).uri)
