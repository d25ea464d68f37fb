"""What can go wrong in SIP, each error with the facts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .message.message import Message, Request, Response
    from .message.stream_parser import KeepAlive


class SipError(Exception):
    """Base of every error of this package."""


class SipParseError(SipError, ValueError):
    """Bytes or values break the grammar of RFC 3261 25.

    `status` is the response that a request with this fault deserves (400, 413, 416, 505); `header` names the
    header field at fault; `request` is what could be read of a request, so that it can be answered, or None
    where nothing may be answered. `hint`, for whoever wrote the value, goes into no response.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        header: str | None = None,
        request: Request | None = None,
        hint: str | None = None,
    ) -> None:
        told = message if hint is None else f"{message}: {hint}"
        super().__init__(told if header is None else f"{header}: {told}")
        self.reason = message
        self.status = status
        self.header = header
        self.request = request


class StreamFramingError(SipParseError):
    """A fault after which a stream cannot go on; `parsed` are the messages that were complete before it."""

    def __init__(self, error: SipParseError, parsed: list[Message | KeepAlive]) -> None:
        super().__init__(error.reason, status=error.status, header=error.header, request=error.request)
        self.parsed = parsed


class MissingExtraError(SipError, ImportError):
    """What was asked for needs a package that is not installed; `extra` is the one of securertc that brings it."""

    def __init__(self, what: str, *, extra: str) -> None:
        super().__init__(f"{what} needs more packages: pip install 'securertc[{extra}]'")
        self.extra = extra


class TransportError(SipError):
    """A message could not be carried: no connection, connection lost, name not resolved; `target` says to whom."""

    def __init__(self, message: str, *, target: str | None = None) -> None:
        message = message or "it failed, and the system said nothing more"
        super().__init__(message if target is None else f"{target}: {message}")
        self.target = target


class WebSocketError(TransportError):
    """What came over a connection opens no WebSocket that carries SIP (RFC 7118)."""


class TlsVerificationError(TransportError):
    """The peer's certificate does not prove the name that was asked for (RFC 5922); `presented` lists its names."""

    def __init__(self, message: str, *, expected: str, presented: tuple[str, ...] = ()) -> None:
        super().__init__(message, target=expected)
        self.expected = expected
        self.presented = presented


class TlsFileError(SipError, ValueError):
    """A PEM file cannot be used for TLS; `path` names it."""

    def __init__(self, message: str, *, path: str | Path) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class DiscoveryError(TransportError):
    """DNS leads nowhere (RFC 3263), or could not be asked; `domain` is the name it was asked about."""

    def __init__(self, message: str, *, domain: str) -> None:
        super().__init__(message, target=domain)
        self.domain = domain


class TransactionTimeoutError(SipError):
    """No final response came in time (timer B or F)."""


class RequestFailedError(SipError):
    """A request was answered with a final response that is no success; `response` is that response."""

    def __init__(self, response: Response) -> None:
        warning = response.headers.get("Warning")
        super().__init__(f"{response.status} {response.reason}" + (f" ({warning})" if warning else ""))
        self.response = response
        self.status = response.status


class CallCancelledError(SipError):
    """The call was cancelled before it was answered."""


class DigestError(SipError):
    """A challenge cannot be answered: no credentials for its realm, or only algorithms that are not allowed."""

    def __init__(self, message: str, *, realm: str | None = None) -> None:
        super().__init__(message)
        self.realm = realm


class DialogError(SipError):
    """A request does not fit its dialog; `status` is the response it deserves."""

    def __init__(self, message: str, *, status: int = 481) -> None:
        super().__init__(message)
        self.status = status


class SessionIntervalError(SipError):
    """A session interval is too small (RFC 4028); `minimum` is the Min-SE in seconds that a 422 has to name."""

    def __init__(self, interval: int, *, minimum: int) -> None:
        super().__init__(f"a session interval of {interval} s is under {minimum} s")
        self.interval = interval
        self.minimum = minimum


class LocationStoreError(SipError):
    """The location store cannot be read or written; what was to be saved is not saved."""


class LocationStoreBusyError(LocationStoreError):
    """The location store did not get to it in time; it may be asked again."""


class LocationRecordError(LocationStoreError):
    """What is stored of one address-of-record cannot be read, and concerns no other; `aor` names it.

    A record saved with `version` takes its place; None where its version cannot be read either.
    """

    def __init__(self, message: str, *, aor: str, version: str | None) -> None:
        super().__init__(f"the record of {aor!a} cannot be read: {message}")
        self.aor = aor
        self.version = version
