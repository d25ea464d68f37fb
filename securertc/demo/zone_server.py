"""An embedded zone asked over the wire: a name server on UDP in this process, for a demonstration or a test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from ..errors import MissingExtraError

try:
    import dns.exception
    import dns.flags
    import dns.message
    import dns.opcode
    import dns.rcode
    import dns.rdatatype
    import dns.rrset
except ModuleNotFoundError:
    raise MissingExtraError("a server of DNS zones", extra="dns") from None

from sip.discovery import Naptr, Question, Record, Srv

from .embedded_zone import RECORD_TYPES, EmbeddedZone

MAX_ANSWER = 1232
# Records may be replaced at any time.
_TIME_TO_LIVE = 0


class _ZoneProtocol(asyncio.DatagramProtocol):
    def __init__(self, zone: EmbeddedZone) -> None:
        self._zone = zone
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # asyncio's own is no DatagramTransport in 3.11

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        answer = answer_of(self._zone, data)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, address)


def answer_of(zone: EmbeddedZone, data: bytes) -> bytes | None:
    """Returns the answer to a DNS query, None to what is none; REFUSED says that the zone has no such type."""
    answer = None
    try:
        query = dns.message.from_wire(data)
        if query.flags & dns.flags.QR or query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            return None
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        asked = query.question[0]
        record_type = next((one for one in RECORD_TYPES if one == dns.rdatatype.to_text(asked.rdtype)), None)
        if record_type is None:
            answer.set_rcode(dns.rcode.REFUSED)
        else:
            question = Question(asked.name.to_text(omit_final_dot=True).lower(), record_type)
            records = zone.lookup(question)
            if records:
                texts = [_text(one) for one in records]
                answer.answer.append(dns.rrset.from_text(asked.name, _TIME_TO_LIVE, "IN", record_type, *texts))
            elif not zone.has(question.name):
                answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer.to_wire(max_size=MAX_ANSWER)
    except dns.exception.TooBig:
        return None if answer is None else _truncated(answer)
    except dns.exception.DNSException:
        return None


def _truncated(answer: dns.message.Message) -> bytes:
    answer.answer.clear()
    answer.flags |= dns.flags.TC
    return answer.to_wire()


def _text(record: Record) -> str:
    if isinstance(record, Naptr):
        fields = f'"{record.flags}" "{record.service}" "{record.regexp}"'
        return f"{record.order} {record.preference} {fields} {record.replacement}."
    if isinstance(record, Srv):
        return f"{record.priority} {record.weight} {record.port} {record.target}."
    return record.address


@contextlib.asynccontextmanager
async def serve_zone(zone: EmbeddedZone, host: str) -> AsyncIterator[str]:
    """Serves a zone on a free UDP port of `host`, and yields ADDRESS:PORT; raises OSError when there is none."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _ZoneProtocol(zone), (host, 0))
    try:
        yield f"{host}:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()
        await asyncio.sleep(0)
