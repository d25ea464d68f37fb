"""What a proxy tells its edge to do, and the values that both speak of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..discovery.target import Target
from ..message.message import Request
from ..message.uri import SipUri, Uri

if TYPE_CHECKING:
    from .exchange import ServerExchange
    from .response_context import Branch, ResponseContext


class Way(Protocol):
    """A flow as the proxy sees it: a connection, or a UDP socket with the peer's address; transport.Flow is one."""

    transport: str
    remote: tuple[str, int]
    accepted: bool

    @property
    def reliable(self) -> bool: ...

    @property
    def secure(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class ProxyTarget:
    """A place to send a request to (RFC 3261 16.5), as a location service knows it.

    Targets of higher `q` (thousandths) are tried first, those of equal q at once. `path` are the Route values that
    the request has to take (RFC 3327 5.3), the first one first; `flow` is the token of the connection it has to go
    by (RFC 5626 5.3). `alternatives` are tried one by one when no response came of this one. `flow_failure` is the
    status that it comes to when its flow is gone; with None the target is tried without the flow.
    """

    uri: Uri
    q: int = 1000
    path: tuple[str, ...] = ()
    flow: str | None = None
    alternatives: tuple[ProxyTarget, ...] = ()
    flow_failure: int | None = None


class TargetSource(Protocol):
    """Finds where the addresses of our domains are reached."""

    async def targets(self, request_uri: SipUri, request: Request) -> Sequence[ProxyTarget] | None:
        """Returns the targets of a Request-URI, in any order; none: not there now (480); None: unknown (404).

        Raises SipError when it cannot tell (500).
        """
        ...


class Resolver(Protocol):
    """Finds the servers of a URI (RFC 3263 4)."""

    async def resolve(self, uri: SipUri) -> Sequence[Target]:
        """Returns where to send, in order of trial; raises TransportError when there is nothing to be found."""
        ...


@dataclass(frozen=True, slots=True)
class SendData:
    """Send bytes over a flow; to `address` instead of its remote end where that is given (18.2.2).

    That is always so by UDP, and by TCP when the flow is closed.
    Report a failure by Proxy.send_failed() with `sender`, the exchange that asked for it (None: nobody minds).
    """

    flow: Way
    data: bytes
    address: tuple[str, int] | None = None
    sender: object | None = None


@dataclass(frozen=True, slots=True)
class Locate:
    """Ask the location service for a context's targets; answer by Proxy.located()."""

    context: ResponseContext
    uri: SipUri


@dataclass(frozen=True, slots=True)
class Resolve:
    """Find the servers of a URI; answer by Proxy.resolved()."""

    branch: Branch
    uri: SipUri


@dataclass(frozen=True, slots=True)
class Connect:
    """Get a flow to a hop; answer by Proxy.connected() or Proxy.unreachable()."""

    branch: Branch
    hop: Target


@dataclass(frozen=True, slots=True)
class UseFlow:
    """Find the flow with a token of ours; answer by Proxy.connected() or Proxy.unreachable()."""

    branch: Branch
    token: str


@dataclass(frozen=True, slots=True)
class Serve:
    """A request for this server itself, such as REGISTER; answer by Proxy.respond()."""

    exchange: ServerExchange
    request: Request


@dataclass(frozen=True, slots=True)
class Distrust:
    """A request over a connection timed out: close it if nothing came by it since that time, as it is half-open."""

    flow: Way
    since: float


Event = SendData | Locate | Resolve | Connect | UseFlow | Serve | Distrust
