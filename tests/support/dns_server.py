"""A name server on loopback for what a real one does not do: silence, garbage, refusals, circles of aliases."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

# What becomes of an answer on the wire; None: nothing is sent.
Spoil = Callable[[bytes], bytes | None]


@dataclass
class ZoneServer(asyncio.DatagramProtocol):
    """Answers from `records`, (name, type) to texts; `spoil` by name damages answers, `asked` are the questions."""

    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    spoil: dict[str, Spoil] = field(default_factory=dict)
    rcodes: dict[str, dns.rcode.Rcode] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    port: int = 0
    transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # asyncio's own is no DatagramTransport in 3.11
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        name, answer = self.answer(data)
        spoiled = self.spoil.get(name, lambda wire: wire)(answer.to_wire())
        if spoiled is not None and self.transport is not None:
            self.transport.sendto(spoiled, addr)

    def answer(self, data: bytes) -> tuple[str, dns.message.Message]:
        """Returns the name asked for and the undamaged answer."""
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        record_type = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{record_type} {name}")
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        answer.set_rcode(self.rcodes.get(name, dns.rcode.NOERROR))
        alias = name
        for _ in range(30):
            found = self.records.get((alias, "CNAME"))
            if found is None or record_type == "CNAME":
                break
            answer.answer.append(dns.rrset.from_text(alias + ".", 60, "IN", "CNAME", found[0]))
            alias = found[0].rstrip(".")
        if texts := self.records.get((alias, record_type)):
            answer.answer.append(dns.rrset.from_text(alias + ".", 60, "IN", record_type, *texts))
        elif not any(known == name for known, _ in self.records) and name not in self.rcodes:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return name, answer


@contextlib.asynccontextmanager
async def zone_server(server: ZoneServer | None = None) -> AsyncIterator[ZoneServer]:
    """Runs a server on a free UDP port, and on the same port of TCP, where nothing is spoiled."""
    server = server or ZoneServer()
    loop = asyncio.get_running_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            size = int.from_bytes(await reader.readexactly(2), "big")
            wire = server.answer(await reader.readexactly(size))[1].to_wire()
            writer.write(len(wire).to_bytes(2, "big") + wire)
            await writer.drain()
        writer.close()

    # TCP first: its ports are shared with connections of all tests, those of UDP with few others.
    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    transport, _ = await loop.create_datagram_endpoint(lambda: server, ("127.0.0.1", port))
    try:
        yield server
    finally:
        listener.close()
        await listener.wait_closed()
        transport.close()
        await asyncio.sleep(0)
