"""What can go wrong with an endpoint, a call or a server."""

from __future__ import annotations

from sip import SipError


class SecureRtcError(Exception):
    """Base of every error that this package raises itself; those of the layers below pass through."""


class MissingExtraError(SecureRtcError, ImportError):
    """What was asked for needs a package that is not installed; `extra` is the one of securertc that brings it."""

    def __init__(self, what: str, *, extra: str) -> None:
        super().__init__(f"{what} needs more packages: pip install 'securertc[{extra}]'")
        self.extra = extra


class SecurityPolicyError(SecureRtcError):
    """What the policy requires cannot be had on this call; `tier` names the tier of RTC security that lacks."""

    def __init__(self, message: str, *, tier: str) -> None:
        super().__init__(message)
        self.tier = tier


class ConfigurationError(SecureRtcError):
    """A configuration file cannot be used; `key` names the key at fault, where it is that of one."""

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message if key is None else f"{key}: {message}")
        self.key = key


class UnsupportedCodecError(SecureRtcError):
    """A stream was to be sent or heard as audio whose codec is not done here; RTP packets can be had of any."""


class NoBundleError(SecureRtcError):
    """Streams were to share a transport, and the peer did not agree on that."""


class CallRefusedError(SecureRtcError):
    """The other side refused the call; `status` is the SIP status, 0 when there was no answer."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status

    @classmethod
    def from_sip(cls, error: SipError) -> CallRefusedError:
        """The error for a failed INVITE."""
        return cls(str(error), status=getattr(error, "status", 0))


class GivenUpError(SecureRtcError):
    """The user ended a command before there was a call."""


class NotRemovedError(SecureRtcError):
    """A binding was to be removed at the registrar, and as far as is known it still stands, until it expires."""


class CallEndedError(SecureRtcError):
    """The call has ended, so that nothing can be sent or received; `how` is "local", "remote" or a fault."""

    def __init__(self, how: str) -> None:
        super().__init__(f"the call has ended ({how})")
        self.how = how


class NoMediaYetError(SecureRtcError):
    """Nothing can be sent before the two sides have agreed on media, and it was started."""

    def __init__(self) -> None:
        super().__init__("no media is agreed on yet: start() the session with what was negotiated first")


class UnsupportedDigitError(SecureRtcError):
    """What was to be sent is no DTMF digit, or the peer takes no telephone events."""


class IceError(SecureRtcError):
    """ICE found no candidates, or no path to the peer."""
