"""What a proxy refuses before it forwards (RFC 3261 16.3), and how it knows a loop (RFC 5393 4.2)."""

from __future__ import annotations

from ..message.grammar import parse_number
from ..message.message import Request, Response
from ..message.uri import SipUri
from .own_names import ProxyIdentity

MAX_BREADTH = 60
_LOOP_PART = 16  # hexadecimal digits


def refuse_forwarding(
    request: Request, identity: ProxyIdentity, loop_part: str, *, understood: frozenset[str] = frozenset()
) -> Response | None:
    """Returns the response that refuses a request, or None when it may be forwarded.

    `loop_part` is that of loop_part() for the request as it was received; `understood` are the option tags of
    Proxy-Require that are served. In the RFC's order: scheme (416), Max-Forwards (483), loop (482), Max-Breadth
    (440), Proxy-Require (420). A request that came by several paths is not refused (16.3): the one that gets the
    copies answers 482. An OPTIONS with no hops left is answered as if it were for us (16.3 step 3). Raises
    SipParseError when a field is malformed that forwarding depends on.
    """
    if not isinstance(request.uri, SipUri):
        return request.create_response(416)
    if not (request.headers.get("Max-Forwards") or "1").strip("0"):
        if request.method == "OPTIONS":
            return options_response(request)
        return request.create_response(483)
    if _has_looped(request, identity, loop_part):
        return request.create_response(482)
    if incoming_breadth(request) < 1:
        return request.create_response(440)
    if "Proxy-Require" not in request.headers or request.method in ("ACK", "CANCEL"):
        return None
    unsupported = [tag for tag in request.option_tags("Proxy-Require") if tag not in understood]
    if unsupported:
        response = request.create_response(420)
        response.headers.add("Unsupported", ", ".join(unsupported))
        return response
    return None


def options_response(request: Request) -> Response:
    """Returns what this server itself answers to OPTIONS (RFC 3261 11)."""
    response = request.create_response(200)
    response.headers.add("Accept", "")
    return response


def incoming_breadth(request: Request) -> int:
    """Returns the Incoming Max-Breadth (RFC 5393 5.3): at most 60, and 60 where there is none.

    Raises SipParseError when the header field is malformed.
    """
    value = request.headers.get("Max-Breadth")
    if value is None:
        return MAX_BREADTH
    return min(parse_number(value, (1 << 31) - 1, "Max-Breadth"), MAX_BREADTH)


def loop_part(request: Request, identity: ProxyIdentity) -> str:
    """Returns the part of our branches that tells a loop from a spiral (RFC 5393 4.2.1).

    Covers what decides how we process a request: Request-URI and Routes as received, tags, Call-ID, CSeq number,
    Proxy-Require and Proxy-Authorization. Neither the method, since CANCEL and ACK must have their INVITE's branch,
    nor the Vias, which differ each time that a loop comes round.
    """
    parts = [request.uri_text]
    cseq = ""
    for key, _, value in request.headers.rows:
        if key in _DECISIVE:
            parts.append(f"{key}:{value}")
        elif key == "cseq":
            cseq = value.split()[0]
    parts.append(cseq)
    return identity.seal("\n".join(parts), _LOOP_PART // 2)


# From and To whole: what of them is not the tag does not change on the way either.
_DECISIVE = frozenset(("route", "from", "to", "call-id", "proxy-require", "proxy-authorization"))


def branch_with(unique: str, part: str) -> str:
    """Returns a branch of a part that is unique and one that tells loops."""
    return f"z9hG4bK{unique}.{part}"


def _has_looped(request: Request, identity: ProxyIdentity, part: str) -> bool:
    suffix = f".{part}"
    # Nearly always told by the text alone.
    for row in request.headers.rows:
        if row[0] == "via" and suffix in row[2]:
            break
    else:
        return False
    return any(
        (via.branch or "").endswith(suffix) and identity.sent_by_ours(via.sent_by, via.transport)
        for via in request.vias
    )
