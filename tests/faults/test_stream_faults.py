"""Connections that are reset in the middle of a message, or go silent: calls end in time, and nothing is left."""

from __future__ import annotations

import asyncio

import pytest
from fault_stage import BOB, FAR, NEAR, SHAPES, stage
from virtual_network import Network, run

from sip import TransportError

# Into the first line, the header, the body of an INVITE, behind it, and into what follows.
OFFSETS = (0, 1, 7, 100, 300, 480, 520, 560, 700, 900, 1200, 1500)
# And of a WebSocket, into its opening handshake and the header of a frame.
CUTS = [("tcp", offset) for offset in OFFSETS] + [("ws", offset) for offset in (1, 150, 190, 250, 450, 1000)]
LEGS = {"endpoints": (BOB,), "proxy": (NEAR, BOB), "triangle": (NEAR, FAR, BOB)}


def first_connection_to(host, what):
    """Does something to the first connection to a host, at the end of who connects."""
    seen = []

    def on_connect(stream):
        if stream.get_extra_info("peername")[0] == host and not seen:
            seen.append(stream)
            what(stream)

    return on_connect


@pytest.mark.parametrize(("transport", "offset"), CUTS)
@pytest.mark.parametrize("direction", ["request", "response"])
@pytest.mark.parametrize(("shape", "leg"), [(shape, leg) for shape in SHAPES for leg in LEGS[shape]])
def test_a_reset_in_the_middle_of_a_message(shape, leg, direction, transport, offset):
    ends = []

    def reset(stream):
        ends.append(stream if direction == "request" else stream.other)
        ends[0].reset_after = offset

    network = Network(on_connect=first_connection_to(leg, reset))

    async def script():
        async with stage(network, shape, transport) as scene:
            outcome = await asyncio.wait_for(scene.call(), 400)
            await asyncio.sleep(400)
            # Where the BYE was lost with its connection, Bob only learns by his own that there is no call.
            assert scene.counts().keys() <= {"bob's dialogs"}
            for dialog in list(scene.bob.dialogs.values()):
                await dialog.bye()
            ends[0].reset_after = None
            # Whoever calls next gets through.
            assert await scene.call() == "finished"
            return outcome

    # What one hop calls 503 is 500 one hop up (16.7 step 6).
    assert run(network, script) in {"finished", "TransportError", 500, 503}


@pytest.mark.parametrize("transport", ["tcp", "ws"])
@pytest.mark.parametrize(("shape", "leg"), [(shape, leg) for shape in SHAPES for leg in LEGS[shape]])
def test_a_half_open_connection_is_found_out_and_replaced(shape, leg, transport):
    """It takes all and gives nothing. One request times out on it; the next one has a new connection."""
    halves = []
    network = Network(on_connect=first_connection_to(leg, halves.append))

    async def script():
        async with stage(network, shape, transport) as scene:
            assert await scene.call() == "finished"
            for end in (halves[0], halves[0].other):
                end.silent = True
            began = asyncio.get_running_loop().time()
            outcome = await scene.call()
            took = asyncio.get_running_loop().time() - began
            assert await scene.call() == "finished"
            halves[0].other.protocol.abort()
            return outcome, took

    outcome, took = run(network, script)
    assert outcome == ("TransactionTimeoutError" if leg == LEGS[shape][0] else 408)
    assert 31 < took < 34


@pytest.mark.parametrize("shape", SHAPES)
def test_a_connection_lost_while_it_rings(shape):
    """Alice hears of it at once; Bob rings until the others give up for her, or answers in vain."""
    ends = []
    network = Network(on_connect=first_connection_to(NEAR if shape != "endpoints" else BOB, ends.append))

    async def script():
        async with stage(network, shape, "tcp") as scene:
            scene.answer_after = 5.0
            running = asyncio.ensure_future(scene.alice.invite(scene.request("INVITE")).run())
            await asyncio.sleep(1)
            ends[0].reset()
            await asyncio.sleep(0.1)
            assert isinstance(running.exception(), TransportError)
            await asyncio.sleep(100)
            assert not scene.bob.dialogs

    run(network, script)


def test_a_peer_that_connects_and_is_gone_before_it_is_looked_at():
    """The system cannot name the other end of such a connection any more."""

    async def script():
        async with stage(network, "endpoints", "tcp") as scene:
            unexpected = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: unexpected.append(context))

            def nameless(stream):
                stream.other._extra["peername"] = None

            network.on_connect = nameless
            outcome = await scene.call()
            network.on_connect = None
            assert await scene.call() == "finished"
            assert not unexpected
            return outcome

    network = Network()
    assert run(network, script) == "TransportError"


def test_an_idle_websocket_that_is_half_open_is_found_out_by_pings():
    """On both sides, without anybody asking for anything; one that is not stays open all the time."""
    halves = []
    network = Network(on_connect=first_connection_to(BOB, halves.append))

    async def script():
        async with stage(network, "endpoints", "ws") as scene:
            assert await scene.call() == "finished"
            await asyncio.sleep(600)
            assert scene.alice.connections == scene.bob.connections == 1
            for end in (halves[0], halves[0].other):
                end.silent = True
            await asyncio.sleep(61)
            assert scene.alice.connections == scene.bob.connections == 0

    run(network, script)
