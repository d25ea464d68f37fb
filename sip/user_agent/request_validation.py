"""What a user agent server refuses before it looks at what a request wants (RFC 3261 8.2.1 to 8.2.3)."""

from __future__ import annotations

from ..message.message import Request, Response
from ..message.uri import SipUri

KNOWN_METHODS = frozenset(
    (
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "OPTIONS",
        "REGISTER",
        "PRACK",
        "UPDATE",
        "SUBSCRIBE",
        "NOTIFY",
        "REFER",
        "MESSAGE",
        "INFO",
        "PUBLISH",
    )
)


def refuse_request(
    request: Request,
    *,
    allowed: frozenset[str],
    supported: frozenset[str] = frozenset(),
    body_types: frozenset[str] | None,
) -> Response | None:
    """Returns the response that refuses a request, or None when it may be processed.

    `allowed` are the methods served, `supported` the option tags, `body_types` the media types understood (None:
    any). In the RFC's order: method (405 for a known one, 501 for others), Request-URI scheme (416), Require (420),
    body type (415). ACK is never answered.
    """
    if request.method == "ACK":
        return None
    if request.method not in allowed:
        response = request.create_response(405 if request.method in KNOWN_METHODS else 501)
        response.headers.add("Allow", ", ".join(sorted(allowed)))
        return response
    if not isinstance(request.uri, SipUri):
        return request.create_response(416)
    if request.method != "CANCEL":
        unsupported = [tag for tag in request.option_tags("Require") if tag not in supported]
        if unsupported:
            response = request.create_response(420)
            response.headers.add("Unsupported", ", ".join(unsupported))
            return response
    if request.body and body_types is not None and not _is_optional(request) and request.content_type not in body_types:
        response = request.create_response(415)
        response.headers.add("Accept", ", ".join(sorted(body_types)))
        return response
    return None


def _is_optional(request: Request) -> bool:
    return "handling=optional" in (request.headers.get("Content-Disposition") or "").replace(" ", "").lower()
