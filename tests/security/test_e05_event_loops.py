"""Every transport works on asyncio's event loop and on uvloop's, with assertions and without (`python -O`)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from peers.authority import TestAuthority

import sip

# Both ends in one process: a request by the transport, its answer, and a large one with body.
SCRIPT = """
import asyncio, sys
from sip import Request, SipUri, client_context, server_context
from sip.discovery.target import Target
from sip.user_agent.user_agent import UserAgent

transport, loop, ca_file, certificate = sys.argv[1:]

async def main():
    seen = []
    def answer(request):
        seen.append(len(request.body))
        response = request.create_response(200)
        response.body = request.body
        return response
    bob = UserAgent(on_request=answer, extra_methods=frozenset(("MESSAGE",)))
    alice = UserAgent(tls_client=client_context(ca_file=ca_file))
    tls = server_context(certificate) if transport in ("tls", "wss") else None
    address = await bob.listen(transport, "127.0.0.1", tls=tls)
    for size in (3, 60000):
        flow = await alice._transports.flow_to(Target(transport, "127.0.0.1", address.port, "localhost"))
        if size > 1000 and transport == "udp":
            continue
        request = Request("MESSAGE", SipUri.parse("sip:bob@example.com"))
        for name, value in (("From", "<sip:a@h>;tag=1"), ("To", "<sip:b@h>"), ("Call-ID", str(size)),
                            ("CSeq", "1 MESSAGE"), ("Content-Type", "text/plain"), ("Max-Forwards", "70")):
            request.headers.add(name, value)
        request.body = b"x" * size
        response = await asyncio.wait_for(alice.request(request, flow=flow), 10)
        assert_ = (response.status, len(response.body))
        if assert_ != (200, size):
            raise SystemExit(f"answered {assert_}")
    await alice.close()
    await bob.close()
    print("done", len(seen))

if loop == "uvloop":
    import uvloop
    uvloop.run(asyncio.wait_for(main(), 30))
else:
    asyncio.run(asyncio.wait_for(main(), 30))
"""


@pytest.mark.parametrize("optimised", [False, True], ids=["plain", "-O"])
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls", "ws", "wss"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_request_and_its_answer(authority: TestAuthority, loop, transport, optimised):
    root = Path(sip.__file__).parents[1]
    done = subprocess.run(
        [
            sys.executable,
            *(["-O"] if optimised else []),
            "-c",
            SCRIPT,
            transport,
            loop,
            authority.ca_path,
            authority.issue("bob"),
        ],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout.split()[:1]) == (0, ["done"]), done.stdout + done.stderr[-2000:]
    assert "Traceback" not in done.stderr


@pytest.mark.every_loop
async def test_the_loops_are_those_that_are_named(request):
    """Or the tests marked every_loop would run twice on one of them."""
    name = request.node.callspec.id.partition("-")[0]
    assert type(asyncio.get_running_loop()).__module__.startswith("uvloop" if name == "uvloop" else "asyncio")
