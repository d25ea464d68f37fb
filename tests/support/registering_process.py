"""Registers for ever at a SQLite location store and tells of every 200 on stdout: to be killed by a test.

    python registering_process.py FILE NAME

A line `n cseq` says that the REGISTER of user NAME-n with this CSeq was answered 200; the odd ones send two.
"""

from __future__ import annotations

import asyncio
import os
import sys

from sip import Request, SipUri
from sip.registrar.location_service import LocationService
from sip.registrar.registrar import RegistrarSettings
from sip.registrar.store_sqlite import SqliteLocationStore


def register(user: str, cseq: int, *, expires: int = 3600) -> Request:
    """A REGISTER of one flow of one instance."""
    request = Request("REGISTER", SipUri.parse("sip:example.com"))
    request.headers.add("Via", f"SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK{user}{cseq}")
    request.headers.add("From", f"<sip:{user}@example.com>;tag=1")
    request.headers.add("To", f"<sip:{user}@example.com>")
    request.headers.add("Call-ID", user)
    request.headers.add("CSeq", f"{cseq} REGISTER")
    request.headers.add("Contact", f'<sip:{user}@192.0.2.1:{5000 + cseq}>;+sip.instance="<urn:x:{user}>";reg-id=1')
    request.headers.add("Expires", str(expires))
    request.headers.add("Supported", "outbound, gruu")
    return request


async def main(path: str, name: str) -> None:
    service = await LocationService.create(
        SqliteLocationStore(path), RegistrarSettings(frozenset(("example.com",)), max_expires=86400)
    )
    number = 0
    while True:
        user = f"{name}-{number}"
        for cseq in range(1, 2 + number % 2):
            response = await service.register(register(user, cseq), user=user)
            assert response.status == 200, response
            # One write of one line: what the reader sees is what was acknowledged.
            os.write(1, f"{number} {cseq}\n".encode())
        number += 1


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
