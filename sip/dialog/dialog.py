"""Dialogs (RFC 3261 12), sans-IO: what both sides remember of a call, and the requests made from it."""

from __future__ import annotations

from dataclasses import dataclass

from ..discovery.target import secured
from ..errors import DialogError, SipParseError
from ..message.header_values import NameAddr
from ..message.message import Request, Response
from ..message.uri import SipUri, Uri

DialogId = tuple[str, str, str]
MAX_ROUTES = 32


@dataclass(slots=True)
class Dialog:
    """One dialog, seen from this side. `local` and `remote` are the addresses with their tags."""

    call_id: str
    local: NameAddr
    remote: NameAddr
    remote_target: SipUri
    route_set: tuple[NameAddr, ...]
    secure: bool
    local_cseq: int
    remote_cseq: int | None
    confirmed: bool

    @classmethod
    def of_caller(cls, request: Request, response: Response, *, secure: bool) -> Dialog:
        """The caller's dialog (12.1.2) from its INVITE and a response with a To tag.

        Raises SipParseError when the response has no usable Contact.
        """
        return cls(
            call_id=request.call_id,
            local=request.from_,
            remote=response.to,
            remote_target=_target(response),
            route_set=tuple(reversed(_routes(response))),
            secure=secure and isinstance(request.uri, SipUri) and request.uri.secure,
            local_cseq=request.cseq.number,
            remote_cseq=None,
            confirmed=response.success,
        )

    @classmethod
    def of_callee(cls, request: Request, response: Response, *, secure: bool) -> Dialog:
        """The callee's dialog (12.1.1) from the INVITE received and the response to it."""
        return cls(
            call_id=request.call_id,
            local=response.to,
            remote=request.from_,
            remote_target=_target(request),
            route_set=_routes(request),
            secure=secure and isinstance(request.uri, SipUri) and request.uri.secure,
            local_cseq=0,
            remote_cseq=request.cseq.number,
            confirmed=response.success,
        )

    @classmethod
    def of_notified(cls, subscribe: Request, notify: Request, *, secure: bool) -> Dialog:
        """The subscriber's dialog from a NOTIFY that came before the response to its SUBSCRIBE (RFC 6665 4.4.1)."""
        return cls(
            call_id=notify.call_id,
            local=notify.to,
            remote=notify.from_,
            remote_target=_target(notify),
            route_set=_routes(notify),
            secure=secure and isinstance(subscribe.uri, SipUri) and subscribe.uri.secure,
            local_cseq=subscribe.cseq.number,
            remote_cseq=None,
            confirmed=True,
        )

    @property
    def id(self) -> DialogId:
        """Call-ID, local tag, remote tag."""
        return self.call_id, self.local.tag or "", self.remote.tag or ""

    def create_request(self, method: str, *, cseq: int | None = None) -> Request:
        """Returns a request within the dialog (12.2.1.1), its Via left to the sender.

        ACK takes the INVITE's number by `cseq`; every other method takes the next one. In a secure dialog it is for a
        sips URI, whatever Contact or a strict router's Route said (12.1.1, RFC 5630 5).
        """
        if cseq is None:
            self.local_cseq += 1
            cseq = self.local_cseq
        uri: Uri = self.remote_target
        routes = list(self.route_set)
        if routes and not (isinstance(routes[0].uri, SipUri) and routes[0].uri.loose_router):
            # A strict router wants to see itself in the Request-URI.
            uri = routes.pop(0).uri
            routes.append(NameAddr(self.remote_target))
        if self.secure and isinstance(uri, SipUri) and not uri.secure:
            uri = secured(uri)
        request = Request(method, uri.without_headers() if isinstance(uri, SipUri) else uri)
        for route in routes:
            request.headers.add("Route", str(route))
        request.headers.add("Max-Forwards", "70")
        request.headers.add("From", str(self.local))
        request.headers.add("To", str(self.remote))
        request.headers.add("Call-ID", self.call_id)
        request.headers.add("CSeq", f"{cseq} {method}")
        return request

    def receive_request(self, request: Request) -> None:
        """Takes note of a request of the peer (12.2.2).

        Raises DialogError with status 500 when its CSeq is not higher than those before; ACK repeats one.
        """
        number = request.cseq.number
        if request.method not in ("ACK", "CANCEL"):
            if self.remote_cseq is not None and number <= self.remote_cseq:
                raise DialogError(f"CSeq {number} after {self.remote_cseq}", status=500)
            self.remote_cseq = number
        if request.method in ("INVITE", "UPDATE") and request.contacts:
            self.remote_target = _target(request)

    def refresh_target(self, response: Response) -> None:
        """Takes the remote target from a 2xx to a re-INVITE or UPDATE of ours (12.2.1.2); without one it stays."""
        if len(response.contacts) == 1:
            self.remote_target = _target(response)


def request_dialog_id(request: Request) -> DialogId:
    """Returns the id under which the receiver of a request keeps its dialog."""
    return request.call_id, request.to.tag or "", request.from_.tag or ""


def _target(message: Request | Response) -> SipUri:
    contacts = message.contacts
    if len(contacts) != 1:
        raise SipParseError("exactly one is needed", header="Contact")
    return contacts[0].sip_uri


def _routes(message: Request | Response) -> tuple[NameAddr, ...]:
    routes = tuple(message.record_routes)
    if len(routes) > MAX_ROUTES:
        raise SipParseError(f"more than {MAX_ROUTES}", header="Record-Route")
    return routes
