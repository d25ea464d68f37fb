"""P-Asserted-Identity at the border of the trust domain (RFC 3325 5 to 7)."""

from __future__ import annotations

from collections.abc import Callable

from ..message.headers import Headers
from .events import Way

# A flow to whether its peer is one of the trust domain, as it has proven.
Trusts = Callable[[Way], bool]
_ASSERTED, _PREFERRED = "p-asserted-identity", "p-preferred-identity"
_IDENTITIES = frozenset((_ASSERTED, _PREFERRED))


def take_in_identity(headers: Headers, flow: Way | None, trusts: Trusts) -> bool:
    """Removes from a message that came by a flow what its sender may not say of who it is from; changes `headers`.

    From outside of the trust domain an asserted identity is nobody's word (5). A preferred one is for the first proxy
    alone (6), whoever sent it. Returns whether there is an asserted identity left.
    """
    if not headers.has_any(_IDENTITIES):
        return False  # as nearly all messages have none
    headers.remove(_PREFERRED)
    if flow is None or not trusts(flow):
        headers.remove(_ASSERTED)
    return _ASSERTED in headers


def give_out_identity(headers: Headers, flow: Way, trusts: Trusts) -> None:
    """Removes an asserted identity that is to be kept private from what leaves the trust domain by a flow (7)."""
    wanted = {one.strip().lower() for row in headers.get_all("Privacy") for one in row.split(";")}
    if "id" in wanted and not trusts(flow):
        headers.remove(_ASSERTED)
