"""Which open connection serves a target: by address alone a peer could pose as another (RFC 5923, CVE-2020-15260)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..discovery.target import Target, default_port
from ..message.header_values import Via

if TYPE_CHECKING:
    from .stream_flow import StreamFlow


class ConnectionReuse:
    """The connections that requests may go by.

    One that we opened serves the very target it was opened for: transport, host, port and proven name; over TLS as long
    as what proved the name would prove it now. One that a peer
    opened over TLS and wants to be used (`alias` in its Via) serves the address it came from, at the port of its
    sent-by, for the names that its certificate proves.
    """

    def __init__(self) -> None:
        self._of_target: dict[Target, StreamFlow] = {}
        self._of_address: dict[tuple[str, int], list[StreamFlow]] = {}

    def opened(self, target: Target, flow: StreamFlow) -> None:
        """Takes a connection that was opened for a target."""
        self._of_target[target] = flow

    def received(self, via: Via, flow: StreamFlow) -> None:
        """Takes the top Via of a request that came by a connection; without effect where reuse is not to be had.

        Only the first alias of a connection counts: who sends others cannot make us keep more.
        """
        if flow.transport != "tls" or flow.certificate is None or not flow.accepted or flow.alias is not None:
            return
        if via.parameter("alias") is not None and via.transport == "TLS":
            flow.alias = flow.remote[0], via.port or default_port("tls")
            self._of_address.setdefault(flow.alias, []).append(flow)

    def find(self, target: Target) -> StreamFlow | None:
        """Returns the open connection to a target, None when there is none."""
        flow = self._of_target.get(target)
        # Who was proven when it was opened may be so no more: a new one has to be, then.
        if flow is not None and not flow.closed and (not target.secure or flow.stands()):
            return flow
        if target.transport == "tls":
            for flow in reversed(self._of_address.get((target.host, target.port), [])):
                if not flow.closed and flow.proves(target.name):
                    self._of_target[target] = flow
                    return flow
        return None

    def forget(self, flow: StreamFlow) -> None:
        """Takes note that a connection has ended."""
        for target in [target for target, other in self._of_target.items() if other is flow]:
            del self._of_target[target]
        if flow.alias is not None:
            left = self._of_address[flow.alias]
            left.remove(flow)
            if not left:
                del self._of_address[flow.alias]
