"""How a proxy stays reachable: Record-Route on dialogs (RFC 3261 16.6 step 4), Path (RFC 3327), alias (RFC 5923)."""

from __future__ import annotations

from collections.abc import Sequence

from .dialog_tokens import DialogTokenMaker
from .events import Way
from .own_names import ProxyIdentity
from .response_context import ResponseContext
from .routing import is_dialog_forming, must_record_route, path_value, record_routes


def records(context: ResponseContext, flow: Way, *, always: bool) -> bool:
    """Whether a request that is forwarded by `flow` is to be recorded: `always`, or only where it has to be."""
    server, request = context.server, context.request
    if server is None or not is_dialog_forming(request):
        return False
    return always or must_record_route(request, server.flow, flow)


def recorded_routes(
    context: ResponseContext, identity: ProxyIdentity, flow: Way, token: str | None, maker: DialogTokenMaker | None
) -> Sequence[str]:
    """Returns the Record-Route values of a request that is forwarded by `flow`, to which `token` holds it.

    With a `maker` they are sealed to the dialog.
    """
    assert context.server is not None
    tokens = {"inbound_token": context.inbound_token, "outbound_token": token}
    return record_routes(context.request, identity, context.server.flow, flow, maker=maker, **tokens)


def recorded_path(context: ResponseContext, identity: ProxyIdentity) -> str | None:
    """Returns our Path value of a REGISTER whose first hop we are, None where there is to be none."""
    server, token = context.server, context.inbound_token
    if context.request.method != "REGISTER" or server is None or token is None:
        return None
    return path_value(context.request, identity.address(server.flow.transport), token)


def alias_of(flow: Way) -> str:
    """Returns what of our Via lets the peer use a TLS connection of ours for its own requests (RFC 5923 8.1)."""
    return ";alias" if flow.transport == "tls" and not flow.accepted else ""
