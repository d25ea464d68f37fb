"""The payloads that RFC 6043 adds, roles for T, ID, RAND and tickets (6.4 to 6.10), and SAKKE: parsed, not used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .code_points import TIMESTAMP_LENGTHS, PayloadType
from .wire import Reader, number, sized


@dataclass(frozen=True, slots=True)
class Tr:
    """TR: a timestamp with a role (6.4)."""

    payload_type: ClassVar[PayloadType] = PayloadType.TR

    role: int
    ts_type: int
    value: bytes

    @classmethod
    def parse_body(cls, reader: Reader) -> Tr:
        role = reader.number(1, "TS Role")
        ts_type = reader.number(1, "TS Type")
        if ts_type not in TIMESTAMP_LENGTHS:
            raise reader.error("TS Type", f"the timestamp type {ts_type} is unknown")
        return cls(role, ts_type, reader.take(TIMESTAMP_LENGTHS[ts_type], "TS Value"))

    def serialize_body(self) -> bytes:
        if TIMESTAMP_LENGTHS.get(self.ts_type) != len(self.value):
            raise Reader(b"", "TR").error("TS Value", f"{len(self.value)} bytes are not the type's length")
        return number(self.role, 1, "TR", "TS Role") + bytes((self.ts_type,)) + self.value


@dataclass(frozen=True, slots=True)
class Idr:
    """IDR: an identity with a role (6.6)."""

    payload_type: ClassVar[PayloadType] = PayloadType.IDR

    role: int
    id_type: int
    data: bytes

    @classmethod
    def parse_body(cls, reader: Reader) -> Idr:
        role = reader.number(1, "ID Role")
        return cls(role, reader.number(1, "ID Type"), reader.sized(2, "ID Data"))

    def serialize_body(self) -> bytes:
        head = number(self.role, 1, "IDR", "ID Role") + number(self.id_type, 1, "IDR", "ID Type")
        return head + sized(self.data, 2, "IDR", "ID Data")


@dataclass(frozen=True, slots=True)
class Randr:
    """RANDR: a RAND with the role of who made it (6.8)."""

    payload_type: ClassVar[PayloadType] = PayloadType.RANDR

    role: int
    rand: bytes

    @classmethod
    def parse_body(cls, reader: Reader) -> Randr:
        return cls(reader.number(1, "RAND Role"), reader.sized(1, "RAND"))

    def serialize_body(self) -> bytes:
        return number(self.role, 1, "RANDR", "RAND Role") + sized(self.rand, 1, "RANDR", "RAND")


@dataclass(frozen=True, slots=True)
class TicketPolicy:
    """What TP and TICKET have in common (6.10).

    `flags` are the twelve from D (the highest bit) to O; `tp_data` starts with the type of its first payload,
    and payloads follow (`message.parse_chain` reads them).
    """

    ticket_type: int
    subtype: int
    version: int
    prf: int
    flags: int
    tp_data: bytes
    reserved: int = 0

    @classmethod
    def parse(cls, reader: Reader) -> TicketPolicy:
        ticket_type = reader.number(2, "Ticket Type")
        subtype = reader.number(1, "Subtype")
        version = reader.number(1, "Version")
        word = reader.number(3, "PRF Func and flags")
        tp_data = reader.sized(2, "TP Data")
        return cls(ticket_type, subtype, version, word >> 17, word >> 5 & 0xFFF, tp_data, word & 0x1F)

    def serialize(self, payload: str) -> bytes:
        word = self.prf << 17 | self.flags << 5 | self.reserved
        return (
            number(self.ticket_type, 2, payload, "Ticket Type")
            + number(self.subtype, 1, payload, "Subtype")
            + number(self.version, 1, payload, "Version")
            + number(word, 3, payload, "PRF Func and flags")
            + sized(self.tp_data, 2, payload, "TP Data")
        )


@dataclass(frozen=True, slots=True)
class Tp:
    """TP: the ticket policy that is wished for (6.10)."""

    payload_type: ClassVar[PayloadType] = PayloadType.TP

    policy: TicketPolicy

    @classmethod
    def parse_body(cls, reader: Reader) -> Tp:
        return cls(TicketPolicy.parse(reader))

    def serialize_body(self) -> bytes:
        return self.policy.serialize("TP")


@dataclass(frozen=True, slots=True)
class Ticket:
    """TICKET: the policy that was granted, the ticket, and the initiator's data (6.10)."""

    payload_type: ClassVar[PayloadType] = PayloadType.TICKET

    policy: TicketPolicy
    ticket_data: bytes
    initiator_data: bytes = b""

    @classmethod
    def parse_body(cls, reader: Reader) -> Ticket:
        policy = TicketPolicy.parse(reader)
        return cls(policy, reader.sized(2, "Ticket Data"), reader.sized(2, "Initiator Data"))

    def serialize_body(self) -> bytes:
        data = sized(self.ticket_data, 2, "TICKET", "Ticket Data")
        return self.policy.serialize("TICKET") + data + sized(self.initiator_data, 2, "TICKET", "Initiator Data")


@dataclass(frozen=True, slots=True)
class Sakke:
    """SAKKE: encapsulated data of RFC 6509 4.2, by parameter set and scheme."""

    payload_type: ClassVar[PayloadType] = PayloadType.SAKKE

    parameters: int
    scheme: int
    data: bytes

    @classmethod
    def parse_body(cls, reader: Reader) -> Sakke:
        parameters = reader.number(1, "SAKKE params")
        return cls(parameters, reader.number(1, "ID scheme"), reader.sized(2, "SAKKE data"))

    def serialize_body(self) -> bytes:
        head = number(self.parameters, 1, "SAKKE", "SAKKE params") + number(self.scheme, 1, "SAKKE", "ID scheme")
        return head + sized(self.data, 2, "SAKKE", "SAKKE data")
