"""What `securertc dns` does, apart from reading its options: what DNS says of a domain, and where that leads."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from sip import DiscoveryError, SipUri
from sip.discovery import HostAddress, Locator, Naptr, Question, Record, Resolver, Srv, Target

from ..name_resolution import TRANSPORTS
from .display import shown

_NO_RECORDS = "none"


class RecordingResolver:
    """Passes questions on, and keeps them in `seen` with what came of them, in the order of the answers."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self.seen: list[tuple[Question, tuple[Record, ...] | DiscoveryError]] = []

    async def resolve(self, question: Question) -> tuple[Record, ...]:
        try:
            records = await self._resolver.resolve(question)
        except DiscoveryError as error:
            self.seen.append((question, error))
            raise
        self.seen.append((question, records))
        return records


async def run_dns(uri: SipUri, resolver: Resolver, console: Console) -> list[Target]:
    """Prints the records that a request to `uri` meets and the targets they lead to, and returns the latter.

    Raises TransportError, after printing the records, when they lead nowhere.
    """
    recording = RecordingResolver(resolver)
    try:
        targets = await Locator(recording).locate(uri, transports=TRANSPORTS)
    finally:
        if recording.seen:
            console.print(records_table(recording.seen))
    console.print(targets_table(uri, targets))
    return targets


def records_table(seen: list[tuple[Question, tuple[Record, ...] | DiscoveryError]]) -> Table:
    """Returns the questions and what was answered as a table."""
    table = Table(title="What DNS says", title_justify="left")
    table.add_column("name", overflow="fold")
    table.add_column("type")
    table.add_column("record", overflow="fold")
    for question, answer in seen:
        rows = [str(answer)] if isinstance(answer, DiscoveryError) else [_text(one) for one in _sorted(answer)]
        for index, row in enumerate(rows or [_NO_RECORDS]):
            first = index == 0
            table.add_row(shown(question.name) if first else "", question.record_type if first else "", shown(row))
    return table


def targets_table(uri: SipUri, targets: list[Target]) -> Table:
    """Returns the targets as a table, in the order to try them."""
    table = Table(title=f"Where {shown(str(uri))} leads, in this order", title_justify="left")
    for heading in ("", "transport", "address", "port", "to prove"):
        table.add_column(heading)
    for index, target in enumerate(targets, 1):
        proof = shown(target.name) if target.secure else "nothing: not encrypted"
        table.add_row(str(index), target.transport.upper(), shown(target.host), str(target.port), proof)
    return table


def _sorted(records: tuple[Record, ...]) -> list[Record]:
    """As they are read: by order and priority."""
    return sorted(records, key=_rank)


def _rank(record: Record) -> tuple[int, int, str]:
    if isinstance(record, Naptr):
        return record.order, record.preference, record.service
    if isinstance(record, Srv):
        return record.priority, -record.weight, record.target
    return 0, 0, record.address


def _text(record: Record) -> str:
    if isinstance(record, Naptr):
        fields = f'"{record.flags}" "{record.service}" "{record.regexp}"'
        return f"{record.order} {record.preference} {fields} {record.replacement or '.'}"
    if isinstance(record, Srv):
        return f"{record.priority} {record.weight} {record.port} {record.target or '.'}"
    assert isinstance(record, HostAddress)
    return record.address
