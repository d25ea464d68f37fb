"""Answers every call over TLS and SRTP and sends back what it hears, until interrupted.

Run: python examples/echo_endpoint.py sip:echo@127.0.0.1 echo.pem ca.pem [PORT]
where echo.pem holds a certificate and its key, and ca.pem the authorities trusted. Then, from elsewhere:
securertc call "sip:echo@127.0.0.1:PORT;transport=tls" --ca-file ca.pem
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from securertc import CallEndedError, Endpoint, EndpointSettings, IncomingCall, SecureRtcError, TlsFiles


async def echo(incoming: IncomingCall) -> None:
    try:
        call = await incoming.answer()
    except SecureRtcError as error:
        print("no call:", error, flush=True)
        return
    with contextlib.suppress(CallEndedError):
        while True:
            await call.send_audio(await call.receive_audio())
    for tier, found in call.security.tiers():
        print(f"{tier}: {found.status.value}", flush=True)


async def serve(aor: str, certificate: str, ca_file: str, port: int) -> None:
    settings = EndpointSettings(aor, tls=TlsFiles(certificate, None, ca_file))
    async with asyncio.TaskGroup() as tasks:

        def on_call(incoming: IncomingCall) -> None:
            tasks.create_task(echo(incoming))

        async with Endpoint(settings, on_call=on_call) as endpoint:
            address = await endpoint.listen("tls", "127.0.0.1", port)
            print(f"answering on port {address.port}", flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    port = int(sys.argv[4]) if len(sys.argv) == 5 else 0
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(sys.argv[1], sys.argv[2], sys.argv[3], port))
