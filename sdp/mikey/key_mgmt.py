"""Key management protocols in SDP: the `a=key-mgmt` attribute and the rules around it (RFC 4567 3.1, 4.1)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field

from srtp.field_checks import check_fields

from ..description.session_description import MediaDescription, SessionDescription
from ..errors import KeyManagementError, MikeyError, MikeyParseError, Refusal, named

MIKEY = "mikey"
MAX_ATTRIBUTES = 32
MAX_DATA_LENGTH = 1 << 16
_KMPID = re.compile(r"[A-Za-z0-9]{1,64}")


@dataclass(frozen=True, slots=True)
class KeyMgmtAttribute:
    """One `a=key-mgmt` attribute: the protocol's identifier, which is case sensitive, and its message."""

    prtcl_id: str
    data: bytes

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def parse(cls, value: str) -> KeyMgmtAttribute:
        """Parses what stands behind `a=key-mgmt:`; blanks before the identifier are allowed, base64 may lack padding.

        Raises KeyManagementError when there is no identifier, or no base64 text of 1 to 65,536 bytes.
        """
        prtcl_id, blank, encoded = value.lstrip(" ").partition(" ")
        if not _KMPID.fullmatch(prtcl_id) or not blank:
            what = f"an a=key-mgmt line, of {len(value)} characters, is not an identifier and base64 data"
            raise KeyManagementError(what)
        return cls(prtcl_id, decode_key_mgmt_data(encoded.strip(" ")))

    def serialize(self) -> str:
        """Returns the attribute's value."""
        return f"{self.prtcl_id} {base64.b64encode(self.data).decode()}"

    def __repr__(self) -> str:
        return f"KeyMgmtAttribute({self.subject!r}, {len(self.data)} bytes)"

    @property
    def subject(self) -> str:
        """What an error may call it: its protocol, where that is a known one, without the message."""
        return key_mgmt_subject(self.prtcl_id)


@dataclass(frozen=True, slots=True)
class TakenKeyMgmt:
    """Which of the offered protocols is taken, and all that were offered beside it, in their order.

    `prtcl_ids` has to be what the protocol itself has authenticated (4.1.4). `session_level` says where it stood:
    its answer goes to the same level.
    """

    attribute: KeyMgmtAttribute
    prtcl_ids: tuple[str, ...] = field(repr=False)
    session_level: bool
    refusals: tuple[Refusal, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)


def key_mgmt_attributes(
    description: SessionDescription, section: MediaDescription | None = None
) -> tuple[KeyMgmtAttribute, ...]:
    """Returns the attributes that count for a media section, or with None those of the session level.

    One at media level overrides all of the session level (3.1). Raises KeyManagementError for a malformed one,
    and for more than 32.
    """
    values = () if section is None else section.attributes("key-mgmt")
    values = values or description.attributes("key-mgmt")
    if len(values) > MAX_ATTRIBUTES:
        raise KeyManagementError(f"more than {MAX_ATTRIBUTES} a=key-mgmt lines")
    return tuple(KeyMgmtAttribute.parse(value) for value in values)


def is_secured(section: MediaDescription) -> bool:
    """Whether a session level attribute is meant for this section: its profile has to be a secure one (5.2)."""
    return section.protocol.upper().rpartition("/")[2] in ("SAVP", "SAVPF")


def take_key_mgmt(
    description: SessionDescription, section: MediaDescription, supported: tuple[str, ...] = (MIKEY,)
) -> TakenKeyMgmt | None:
    """Returns the first offered protocol that we support, None where none is offered for this section.

    The offerer lists them in the order of its preference (4.1.2). Raises KeyManagementError, with the reason for
    each, when there are some and all are unsupported.
    """
    attributes = key_mgmt_attributes(description, section)
    own_level = bool(section.attributes("key-mgmt"))
    if not attributes or not (own_level or is_secured(section)):
        return None
    taken = next((one for one in attributes if one.prtcl_id in supported), None)
    refusals = tuple(Refusal(one.subject, *_reason(one, supported)) for one in attributes if one is not taken)
    if taken is None:
        raise KeyManagementError("no offered key management protocol is supported", refusals=refusals)
    return TakenKeyMgmt(taken, tuple(one.prtcl_id for one in attributes), not own_level, refusals)


def _reason(attribute: KeyMgmtAttribute, supported: tuple[str, ...]) -> tuple[str, str]:
    if attribute.prtcl_id in supported:
        return "preference", "another line is preferred"
    return "protocol", "the key management protocol is not supported"


def check_answered_key_mgmt(
    description: SessionDescription, section: MediaDescription, offered: tuple[str, ...]
) -> KeyMgmtAttribute:
    """Returns the one attribute of an answer; raises KeyManagementError when it is missing, not offered, or not alone.

    An answer without it, to an offer that has it, would leave the media without keys: that is refused, whatever
    profile the answer names.
    """
    attributes = key_mgmt_attributes(description, section)
    if len(attributes) != 1:
        raise KeyManagementError(f"the answer has {len(attributes)} a=key-mgmt lines, exactly one is needed")
    if attributes[0].prtcl_id not in offered:
        raise KeyManagementError(f"the answer's {attributes[0].subject} was not offered")
    return attributes[0]


def key_mgmt_subject(value: str) -> str:
    """Returns what to call a line by its value: the protocol, where that is a known one, and nothing else of it."""
    prtcl_id = (value.split() or [""])[0]
    return f"a=key-mgmt:{named(prtcl_id, (MIKEY, ''), 'a protocol')}"


def refusal_of(error: MikeyError) -> KeyManagementError:
    """Returns the negotiation's error for a MIKEY message that was refused: 488 with Warning 306 (4.1.2)."""
    code = "malformed" if isinstance(error, MikeyParseError) else "mikey"
    refused = KeyManagementError(
        "the key management message is not accepted", refusals=(Refusal("a=key-mgmt:mikey", code, str(error)),)
    )
    refused.response = getattr(error, "response", None)
    return refused


def decode_key_mgmt_data(encoded: str) -> bytes:
    """Decodes base64 with or without its padding; raises KeyManagementError when it is none, empty or too long."""
    bare = encoded.rstrip("=")
    if not bare or len(encoded) - len(bare) > 2 or len(bare) > MAX_DATA_LENGTH * 4 // 3 + 4:
        raise KeyManagementError(f"the key management data, {len(encoded)} characters, is no base64 text, or too long")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise KeyManagementError(f"the key management data, {len(encoded)} characters, is no base64 text") from None
