"""Routes through a proxy: taking in (RFC 3261 16.4), sending on and recording (16.6, RFC 5658, RFC 5626)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..discovery.target import default_port, response_address
from ..message.header_values import NameAddr, Via, split_values
from ..message.headers import Headers, Row
from ..message.message import Request, request_uri_of
from ..message.uri import SipUri, Uri
from .dialog_tokens import DialogTokenMaker
from .events import Way
from .own_names import ListenAddress, ProxyIdentity, route_value

# Requests that make a dialog, beside all whose method is not known here.
_WITHOUT_DIALOG = frozenset(
    ("ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "PRACK", "UPDATE", "MESSAGE", "INFO", "PUBLISH", "NOTIFY")
)


@dataclass(frozen=True, slots=True)
class TakenRoutes:
    """The routes of a request that led here.

    `tokens` are their user parts in order, `held` whether the last one stands for a registered flow (ob). `secure`
    tells that the request came for a sips URI, though it may go on to another one (16.4).
    """

    tokens: tuple[str | None, ...] = ()
    held: bool = False
    secure: bool = False

    @property
    def token(self) -> str | None:
        """The user part of the last one, None without any."""
        return self.tokens[-1] if self.tokens else None


_NONE_TAKEN = TakenRoutes()


def take_in_routes(request: Request, identity: ProxyIdentity) -> TakenRoutes:
    """Strips from a received request the routes that led here, as 16.4 says, and returns them; changes `request`.

    A Request-URI that we once recorded comes from a strict router: its place takes the last Route.
    """
    tokens: list[str | None] = []
    held = False
    uri = request.uri
    secure = isinstance(uri, SipUri) and uri.secure
    has_routes = "Route" in request.headers
    if isinstance(uri, SipUri) and uri.parameters:
        if has_routes and uri.loose_router and identity.is_ours(uri):
            tokens.append(uri.user)
            values = split_values(request.headers.get_all("Route"), "Route")
            request.uri = uri = request_uri_of(NameAddr.parse(values.pop()).uri)
            replace_values(request.headers, "Route", values)
            has_routes = bool(values)
        if isinstance(uri, SipUri) and uri.parameter("maddr") is not None:
            request.uri = _without_own_maddr(uri, identity)
    if not has_routes:
        return TakenRoutes(tuple(tokens), held, secure) if tokens or secure else _NONE_TAKEN
    values = split_values(request.headers.get_all("Route"), "Route")
    passed = 0
    while passed < len(values):
        plain = identity.own_route_user(values[passed])
        if plain is not None:
            tokens.append(plain or None)
            held = False
            passed += 1
            continue
        route = NameAddr.parse(values[passed]).uri
        if not isinstance(route, SipUri) or not identity.is_ours(route):
            break
        tokens.append(route.user)
        held = route.parameter("ob") is not None
        passed += 1
    if passed:
        replace_values(request.headers, "Route", values[passed:])
    return TakenRoutes(tuple(tokens), held, secure)


def _without_own_maddr(uri: SipUri, identity: ProxyIdentity) -> SipUri:
    there = replace(uri, host=uri.parameter("maddr") or "", parameters=_without(uri, "maddr"))
    if not identity.is_ours(there):
        return uri
    return replace(uri, port=None, parameters=_without(uri, "maddr", "transport"))


def _without(uri: SipUri, *names: str) -> tuple[tuple[str, str | None], ...]:
    return tuple(pair for pair in uri.parameters if pair[0] not in names)


def replace_values(headers: Headers, name: str, values: Sequence[str]) -> None:
    """Puts one row for each value where the first row of this name stands, or behind all others."""
    key = name.lower()
    rows: list[Row] = [(key, name, value) for value in values]
    kept: list[Row] = []
    for row in headers.rows:
        if row[0] != key:
            kept.append(row)
        elif rows:
            kept += rows
            rows = []
    headers.replace_rows(kept + rows, key)


def is_dialog_forming(request: Request) -> bool:
    """Whether a request may make a dialog: no To tag, and a method that does or may (16.6 step 4)."""
    return request.method not in _WITHOUT_DIALOG and request.to_tag is None


def must_record_route(request: Request, inbound: Way, outbound: Way) -> bool:
    """Whether there is no choice: a SIPS request that did not come over TLS (16.6 step 4), or WebSocket on one side.

    A WebSocket client is reached by the connection to us and by nothing else (RFC 7118 5).
    """
    if any(way.transport in ("ws", "wss") for way in (inbound, outbound)):
        return True
    return isinstance(request.uri, SipUri) and request.uri.secure and not inbound.secure


def record_routes(
    request: Request,
    identity: ProxyIdentity,
    inbound: Way,
    outbound: Way,
    *,
    inbound_token: str | None = None,
    outbound_token: str | None = None,
    maker: DialogTokenMaker | None = None,
) -> list[str]:
    """Returns the Record-Route values to put on top: one, or one for each side where the sides differ (RFC 5658 5).

    The sides differ by transport, and where a side is held to its connection by a flow token (RFC 5626 5.3). With a
    `maker` the token of each side is sealed to the dialog, and so is each side without one.
    """
    secure = isinstance(request.uri, SipUri) and request.uri.secure
    alike = inbound.transport == outbound.transport and inbound_token is None and outbound_token is None
    if maker is not None:
        inbound_token = maker.create(to_callee=False, flow=inbound_token)
        outbound_token = None if alike else maker.create(to_callee=True, flow=outbound_token)
    towards_caller = route_value(identity.address(inbound.transport), secure=secure, token=inbound_token)
    if alike:
        return [towards_caller]
    towards_callee = route_value(identity.address(outbound.transport), secure=secure, token=outbound_token)
    return [towards_callee, towards_caller]


def asks_for_flow(request: Request) -> bool:
    """Whether a user agent wants to be reached by the flow that its request comes by (RFC 5626 4.2.1, 4.3)."""
    contact = request.headers.get("Contact")
    return contact is not None and ("reg-id" if request.method == "REGISTER" else ";ob") in contact.lower()


def path_value(request: Request, address: ListenAddress, token: str) -> str | None:
    """Returns the Path value of the first hop of a REGISTER, `token` naming its flow (RFC 3327 5.2, RFC 5626 5.1).

    None where the user agent speaks neither of Path nor of flows.
    """
    held = asks_for_flow(request)
    if not held and "path" not in request.option_tags("Supported"):
        return None
    secure = isinstance(request.uri, SipUri) and request.uri.secure
    value = route_value(address, secure=secure, token=token)
    return f"{value[:-1]};ob>" if held else value


def next_routes(request: Request, uri: Uri, pushed: Sequence[str]) -> tuple[Uri, list[str] | None, Uri]:
    """Returns what the forwarded request has (16.6 step 6): its Request-URI, its Route values, the next hop's URI.

    `uri` is the target's, `pushed` are the routes to take before those of the request. The Routes are None where
    those of the request stay as they are. When the next hop is a strict router the Request-URI moves to the end of
    the Routes, and the router's URI into its place.
    """
    uri = request_uri_of(uri)
    if not pushed and "Route" not in request.headers:
        return uri, None, uri
    values = [*pushed, *split_values(request.headers.get_all("Route"), "Route")]
    first = NameAddr.parse(values[0]).uri
    if isinstance(first, SipUri) and not first.loose_router:
        first = request_uri_of(first)
        return first, [*values[1:], f"<{uri}>"], first
    return uri, values if pushed else None, first


def forwarded_copy(
    request: Request,
    uri: Uri,
    *,
    via: str,
    record_route: Sequence[str],
    routes: Sequence[str] | None,
    max_breadth: int | None,
    path: str | None = None,
) -> Request:
    """Returns the request as it goes on (16.6 steps 1 to 6 and 8), all that is not named left as it came.

    `via` is our Via value, `routes` replace those of the request unless None. Max-Forwards is counted down, or
    added; Max-Breadth is set, except where it is None. `path` is our Path value, where we add one.
    """
    rows: list[Row] = [("via", "Via", via)]
    rows += [("record-route", "Record-Route", value) for value in record_route]
    if path is not None:
        rows.append(("path", "Path", path))
    if routes is not None:
        rows += [("route", "Route", value) for value in routes]
    limited = False
    for row in request.headers.rows:
        key = row[0]
        if key == "max-forwards":
            hops = request.max_forwards
            rows.append((key, row[1], str((70 if hops is None else hops) - 1)))
            limited = True
        elif not (key == "max-breadth" or (key == "route" and routes is not None)):
            rows.append(row)
    if not limited:
        rows.append(("max-forwards", "Max-Forwards", "70"))
    if max_breadth is not None:
        rows.append(("max-breadth", "Max-Breadth", str(max_breadth)))
    return Request.of_checked(request.method, uri, Headers.of_checked(rows, {}), request.body)


def without_top_via(headers: Headers) -> Headers:
    """Returns header fields without the topmost Via value (16.7 step 3), all others untouched."""
    rows = headers.rows
    for index, (key, name, value) in enumerate(rows):
        if key == "via":
            kept = rows[:index]
            if "," in value:
                others = split_values([value], "Via")[1:]
                if others:
                    kept.append((key, name, ", ".join(others)))
            # With the size that they had, which is no less.
            return Headers.of_checked(kept + rows[index + 1 :], {}, headers.size)
    return headers


def return_address(via: Via, flow: Way) -> tuple[str, int] | None:
    """Where responses go (18.2.2) when not to the flow's remote end: always by UDP, else once it is closed.

    None for WebSocket, whose clients cannot be connected to (RFC 7118 5).
    """
    if flow.transport in ("ws", "wss"):
        return None
    if flow.reliable:
        return response_address(via)[0], via.port or default_port(flow.transport)
    address = response_address(via)
    return None if address == flow.remote else address
