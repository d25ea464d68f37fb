"""A DNS zone in memory, for a demonstration or a test; zone_server.py has it asked over the wire."""

from __future__ import annotations

from collections.abc import Mapping

from sip.discovery import HostAddress, Naptr, Question, Record, RecordType, Srv

RECORD_TYPES: tuple[RecordType, ...] = ("NAPTR", "SRV", "A", "AAAA")


class EmbeddedZone:
    """Answers from `records`, by question; what is not among them does not exist. `asked`: the questions in order."""

    def __init__(self, records: Mapping[Question, tuple[Record, ...]]) -> None:
        self._records = records
        self.asked: list[Question] = []

    def replace(self, records: Mapping[Question, tuple[Record, ...]]) -> None:
        """Serves other records from now on."""
        self._records = records

    def has(self, name: str) -> bool:
        """Whether there are records of a name, of whatever type."""
        return any(question.name == name for question in self._records)

    def lookup(self, question: Question) -> tuple[Record, ...]:
        """Returns the records of a question, () where there are none."""
        self.asked.append(question)
        return self._records.get(question, ())

    async def resolve(self, question: Question) -> tuple[Record, ...]:
        """Returns the records of a question, without a name server; see sip.dns_records.Resolver."""
        return self.lookup(question)


def records_of_domain(domain: str, address: str, port: int) -> dict[Question, tuple[Record, ...]]:
    """Returns the records of a SIP domain that is served over TLS alone, by one host, `sip.` before the domain."""
    service, host = f"_sips._tcp.{domain}", f"sip.{domain}"
    return {
        Question(domain, "NAPTR"): (Naptr(10, 10, "s", "SIPS+D2T", "", service),),
        Question(service, "SRV"): (Srv(10, 10, port, host),),
        Question(host, "A"): (HostAddress(address),),
        Question(domain, "A"): (HostAddress(address),),
    }
