"""What DNS says of a SIP domain, and who is asked: values and the interface of resolvers (RFC 2782, 3263, 3403)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

RecordType = Literal["NAPTR", "SRV", "A", "AAAA"]


@dataclass(frozen=True, slots=True)
class Question:
    """One lookup: a name, without the dot at its end, and the type of record."""

    name: str
    record_type: RecordType

    def __str__(self) -> str:
        return f"{self.record_type} {self.name}"


@dataclass(frozen=True, slots=True)
class Naptr:
    """A NAPTR record (RFC 3403 4.1); `replacement` has no dot at its end, and is "" for none."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Srv:
    """A SRV record (RFC 2782); `target` has no dot at its end, and is "" where the service is said not to exist."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True, slots=True)
class HostAddress:
    """An A or AAAA record: a numeric address."""

    address: str


Record = Naptr | Srv | HostAddress


class Resolver(Protocol):
    """Who answers questions: DnsResolver, or what a test puts in its place."""

    async def resolve(self, question: Question) -> tuple[Record, ...]:
        """Returns the records of the question's type, () when the name or the type does not exist.

        Raises DiscoveryError when there is no answer, or one that cannot be used: that is not the same as none.
        """
        ...
