"""The Replaces header field (RFC 3891) and the address that a REFER names (RFC 3515 2.1), as values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from srtp.field_checks import check_fields

from ..errors import SipParseError
from ..message.grammar import parse_parameters
from ..message.header_values import NameAddr
from ..message.message import Request
from ..message.uri import SipUri
from .dialog import DialogId

MAX_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class Replaces:
    """Which dialog an INVITE replaces, as its receiver knows it: `to_tag` is its own, `from_tag` the peer's."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def parse(cls, text: str) -> Replaces:
        """Raises SipParseError for what is no Call-ID with exactly one to-tag and one from-tag."""
        call_id, semicolon, rest = text.strip().partition(";")
        try:
            parameters = parse_parameters(semicolon + rest)
        except SipParseError as error:
            raise SipParseError(error.reason, header="Replaces") from None
        found: dict[str, str | None] = {}
        for name, value in parameters:
            if name.lower() in found:
                raise SipParseError(f"{name} stands there twice", header="Replaces")
            found[name.lower()] = value
        to_tag, from_tag = found.get("to-tag"), found.get("from-tag")
        if not call_id.strip() or not to_tag or not from_tag or len(text) > MAX_LENGTH:
            raise SipParseError("a Call-ID, a to-tag and a from-tag are needed", header="Replaces")
        return cls(call_id.strip(), to_tag, from_tag, "early-only" in found)

    @classmethod
    def of(cls, request: Request) -> Replaces | None:
        """Returns that of an INVITE, None without one; raises SipParseError when there are several (RFC 3891 3)."""
        values = request.headers.get_all("Replaces")
        if len(values) > 1:
            raise SipParseError("more than one", header="Replaces")
        return cls.parse(values[0]) if values else None

    @classmethod
    def at_peer(cls, dialog: DialogId) -> Replaces:
        """Returns what names a dialog of ours to the other side of it: there our tag is the remote one."""
        call_id, local_tag, remote_tag = dialog
        return cls(call_id, remote_tag, local_tag)

    @property
    def dialog_id(self) -> DialogId:
        """The id under which the receiver keeps the dialog."""
        return self.call_id, self.to_tag, self.from_tag

    def __str__(self) -> str:
        flag = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{flag}"


@dataclass(frozen=True, slots=True)
class ReferTarget:
    """Whom a REFER asks to call, and the call there that is to be taken over (an attended transfer), if any."""

    uri: SipUri
    replaces: Replaces | None = None

    @classmethod
    def of(cls, request: Request) -> ReferTarget:
        """Reads the Refer-To of a REFER.

        Raises SipParseError unless there is exactly one, with a SIP URI that asks for nothing but an INVITE.
        """
        values = request.headers.get_all("Refer-To")
        if len(values) != 1:
            raise SipParseError("exactly one is needed", header="Refer-To")
        uri = NameAddr.parse(values[0]).uri
        if not isinstance(uri, SipUri):
            raise SipParseError("only SIP URIs can be called", header="Refer-To")
        if (uri.parameter("method") or "INVITE").upper() != "INVITE":
            raise SipParseError("only an INVITE can be asked for", header="Refer-To")
        replaces = None
        for part in uri.headers.split("&") if uri.headers else ():
            name, _, value = part.partition("=")
            if name.lower() == "replaces":
                if replaces is not None:
                    raise SipParseError("two Replaces in it", header="Refer-To")
                replaces = Replaces.parse(unquote(value))
        return cls(uri.without_headers(), replaces)

    def __str__(self) -> str:
        if self.replaces is None:
            return f"<{self.uri}>"
        return f"<{replace(self.uri, headers='Replaces=' + quote(str(self.replaces), safe=''))}>"
