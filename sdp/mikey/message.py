"""A MIKEY message: the header and its payloads, in order, byte for byte (RFC 3830 5.2, 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from ..errors import MikeyParseError
from .code_points import PayloadType
from .header import Header
from .key_data import KeyData
from .payloads import Cert, Chash, Dh, Err, GeneralExtension, Id, Kemac, Pke, Rand, Sign, Sp, T, V
from .ticket_payloads import Idr, Randr, Sakke, Ticket, Tp, Tr
from .wire import Reader

MAX_MESSAGE_LENGTH = 1 << 16
MAX_PAYLOADS = 256

Payload = (
    Kemac | Pke | Dh | Sign | T | Id | Cert | Chash | V | Sp | Rand | Err | GeneralExtension | KeyData
    | Tr | Idr | Randr | Tp | Ticket | Sakke
)  # fmt: skip
_Kind = TypeVar("_Kind")
_KINDS: dict[int, type[Payload]] = {
    int(kind.payload_type): kind
    for kind in (
        *(Kemac, Pke, Dh, Sign, T, Id, Cert, Chash, V, Sp, Rand, Err, GeneralExtension, KeyData),
        *(Tr, Idr, Randr, Tp, Ticket, Sakke),
    )
}


@dataclass(frozen=True, slots=True)
class Message:
    """A header and the payloads behind it. The next payload fields follow from the order.

    What was parsed serializes to the very same bytes.
    """

    header: Header
    payloads: tuple[Payload, ...]

    @classmethod
    def parse(cls, data: bytes) -> Message:
        """Parses a whole message.

        Raises MikeyParseError, naming payload and field, when it is cut short or has bytes behind its last
        payload, a payload, version, map or an algorithm of unknown length is not known, or there are more than
        65,536 bytes or 256 payloads.
        """
        if len(data) > MAX_MESSAGE_LENGTH:
            raise MikeyParseError("HDR", "length", f"{len(data)} bytes are more than {MAX_MESSAGE_LENGTH}")
        reader = Reader(bytes(data))
        header, next_payload = Header.parse(reader)
        return cls(header, parse_chain(next_payload, reader, header.data_type))

    def serialize(self) -> bytes:
        """Returns the message's bytes; raises MikeyParseError when a value does not fit its field."""
        first = self.payloads[0].payload_type if self.payloads else PayloadType.LAST
        data = self.header.serialize(first) + serialize_chain(self.payloads)
        if len(data) > MAX_MESSAGE_LENGTH:
            raise MikeyParseError("HDR", "length", f"{len(data)} bytes are more than {MAX_MESSAGE_LENGTH}")
        return data

    def all(self, kind: type[_Kind]) -> tuple[_Kind, ...]:
        """Returns the payloads of one kind, in order."""
        return tuple(payload for payload in self.payloads if isinstance(payload, kind))

    def only(self, kind: type[_Kind]) -> _Kind | None:
        """Returns the payload of a kind, None when there is none; raises MikeyParseError when there are several."""
        found = self.all(kind)
        if len(found) > 1:
            raise MikeyParseError(kind.__name__.upper(), "next payload", "the payload stands more than once")
        return found[0] if found else None


def parse_chain(next_payload: int, reader: Reader, data_type: int = -1) -> tuple[Payload, ...]:
    """Reads payloads to the end of the bytes, the first being of type `next_payload`; raises MikeyParseError."""
    payloads: list[Payload] = []
    while next_payload != PayloadType.LAST:
        kind = _KINDS.get(next_payload)
        if kind is None:
            raise reader.error("next payload", f"the payload type {next_payload} is unknown")
        if len(payloads) >= MAX_PAYLOADS:
            raise reader.error("next payload", f"more than {MAX_PAYLOADS} payloads")
        reader.payload = kind.payload_type.name
        # SIGN has no such field: it is always the last.
        next_payload = PayloadType.LAST if kind is Sign else reader.number(1, "next payload")
        if issubclass(kind, Kemac):
            payloads.append(kind.parse_body(reader, data_type))
        else:
            payloads.append(kind.parse_body(reader))
    if reader.remaining:
        raise reader.error("next payload", f"{reader.remaining} bytes follow the last payload")
    return tuple(payloads)


def serialize_chain(payloads: tuple[Payload, ...]) -> bytes:
    """Returns the bytes of payloads that follow each other; raises MikeyParseError when SIGN is not the last."""
    pieces = []
    for place, payload in enumerate(payloads, 1):
        following = payloads[place].payload_type if place < len(payloads) else PayloadType.LAST
        if not isinstance(payload, Sign):
            pieces.append(bytes((following,)))
        elif place < len(payloads):
            raise MikeyParseError("SIGN", "next payload", "a payload follows the signature")
        pieces.append(payload.serialize_body())
    return b"".join(pieces)


def parse_key_data(data: bytes, *, with_id: bool) -> tuple[Id | None, tuple[KeyData, ...]]:
    """Reads what KEMAC carries: in the public key modes the sender's ID, then Key data (RFC 3830 6.2).

    No field says of what type the first sub-payload is, so `with_id` must. Raises MikeyParseError for another
    payload; empty data, as in an update, gives no key.
    """
    if not data:
        return None, ()
    payloads = parse_chain(PayloadType.ID if with_id else PayloadType.KEY_DATA, Reader(data, "KEMAC"))
    identity = payloads[0] if isinstance(payloads[0], Id) else None
    keys = payloads[1:] if identity else payloads
    if not all(isinstance(key, KeyData) for key in keys):
        raise MikeyParseError("KEMAC", "Encr data", "a payload in it is neither the sender's ID nor Key data")
    return identity, tuple(key for key in keys if isinstance(key, KeyData))
