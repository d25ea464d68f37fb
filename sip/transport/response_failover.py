"""Another way for a response whose connection is gone (RFC 3261 18.2.2, RFC 3263 5)."""

from __future__ import annotations

from ..discovery.locator import Locator
from ..discovery.target import Target, default_port
from ..errors import SipParseError, TransportError
from ..message.header_values import Via
from ..message.host_names import bare_host, is_numeric, same_host
from ..message.message import Response
from .layer import Flow, TransportLayer

MAX_TRIED = 4


async def flow_for_response(
    transports: TransportLayer, locator: Locator | None, response: Response, *, known: bool
) -> Flow:
    """Returns a new flow to the sender of the request: to where it came from at the port of its sent-by, or else
    to where its sent-by leads by DNS. The transport stays the same, and over TLS the sent-by has to be proven.

    The sent-by is a claim: of a sender that is not `known` it leads nowhere but to the address that the request came
    from, or anybody could have us connect to anybody.

    Raises TransportError when none can be reached.
    """
    try:
        via = response.top_via
    except SipParseError as error:
        raise TransportError(f"no way back: {error}") from None
    failure = TransportError("no way back", target=via.host)
    for target in await _targets(transports, locator, via, known=known):
        try:
            return await transports.flow_to(target)
        except TransportError as error:
            failure = error
    raise failure


async def _targets(transports: TransportLayer, locator: Locator | None, via: Via, *, known: bool) -> list[Target]:
    transport = via.transport.lower()
    if transport not in transports.supported or transport in ("ws", "wss"):
        return []  # nobody can connect to a WebSocket client (RFC 7118 5)
    name = bare_host(via.host)
    source = via.parameter("received") or (name if is_numeric(name) else None)
    found = [] if source is None else [Target(transport, source, via.port or default_port(transport), name)]
    if locator is not None and not is_numeric(name):
        located = await locator.locate_response(via, transports=transports.supported)
        found += [one for one in located if known or (source is not None and same_host(one.host, source))]
    return list(dict.fromkeys(found))[:MAX_TRIED]
