"""Loss, duplication, reordering and silence on UDP: calls finish or fail with the right code, and nothing is left."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from fault_stage import BOB, FAR, NEAR, SHAPES, stage
from virtual_network import Faults, Network, run

CALLS = 25
FAULTS = {
    "loss": Faults(loss=0.2),
    "duplication": Faults(duplication=0.4),
    "reordering": Faults(jitter=1.5),
    "all at once": Faults(loss=0.2, duplication=0.2, jitter=0.8),
}


def many_calls(network, shape, **how):
    async def script():
        async with stage(network, shape) as scene:
            calls = []
            for number in range(CALLS):
                calls.append(asyncio.ensure_future(scene.call(hung_up_by=("alice", "bob")[number % 2], **how)))
                await asyncio.sleep(0.2)
            return Counter(await asyncio.gather(*calls))

    return run(network, script)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("faults", FAULTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_calls_finish_on_a_faulty_network(shape, faults, seed):
    fault = FAULTS[faults]
    network = Network(seed, Faults(fault.loss, fault.duplication, fault.jitter))
    outcomes = many_calls(network, shape)
    # Seven sendings of each INVITE, over up to three hops: one that fails at 20 % would be a surprise.
    assert outcomes == {"finished": CALLS}
    assert bool(network.lost) == bool(fault.loss)
    assert bool(network.doubled) == bool(fault.duplication)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", SHAPES)
def test_calls_are_cancelled_on_a_faulty_network(shape, seed):
    async def script():
        async with stage(network, shape) as scene:
            scene.answer_after = None
            invites = [scene.alice.invite(scene.request("INVITE")) for _ in range(CALLS)]
            runs = [asyncio.ensure_future(one.run()) for one in invites]
            for number, one in enumerate(invites):
                asyncio.get_running_loop().call_later(0.05 * number, one.cancel)
            return Counter(type(one).__name__ for one in await asyncio.gather(*runs, return_exceptions=True))

    network = Network(seed, Faults(loss=0.2, duplication=0.2, jitter=0.8))
    assert run(network, script) == {"CallCancelledError": CALLS}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", SHAPES)
def test_other_requests_are_answered_on_a_faulty_network(shape, seed):
    async def script():
        async with stage(network, shape) as scene:
            asked = (scene.alice.request(scene.request("OPTIONS")) for _ in range(CALLS))
            return Counter(one.status for one in await asyncio.gather(*asked))

    network = Network(seed, Faults(loss=0.2, duplication=0.2, jitter=0.8))
    assert run(network, script) == {200: CALLS}


@pytest.mark.parametrize("number", range(24))
@pytest.mark.parametrize("shape", SHAPES)
def test_any_one_datagram_may_be_lost(shape, number):
    def drops(data, source, destination):
        return network.sent == number + 1

    network = Network(drops=drops)

    async def script():
        async with stage(network, shape) as scene:
            return await scene.call(hung_up_by=("alice", "bob")[number % 2])

    assert run(network, script) == "finished"


@pytest.mark.parametrize("number", range(24))
@pytest.mark.parametrize("shape", SHAPES)
def test_the_network_may_be_silent_for_a_while_from_any_datagram_on(shape, number):
    """For as long as it takes: each side gives up, or goes on once the network is back, and nobody keeps anything."""
    began = []

    def drops(data, source, destination):
        now = asyncio.get_running_loop().time()
        if network.sent == number + 1:
            began.append(now)
        return bool(began) and now < began[0] + 40

    network = Network(drops=drops)

    async def script():
        async with stage(network, shape) as scene:
            outcome = await asyncio.wait_for(scene.call(), 400)
            await asyncio.sleep(400)
            # A BYE that is lost with all its repetitions leaves a dialog that only time or media can tell is dead.
            assert scene.counts().keys() <= {"bob's dialogs"}
            for dialog in list(scene.bob.dialogs.values()):
                await dialog.bye()
            return outcome

    assert run(network, script) in {"finished", "TransactionTimeoutError", "CallCancelledError", 408}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_callee_that_is_not_there_is_a_timeout(shape, method):
    async def script():
        async with stage(network, shape) as scene:
            network.drops = lambda data, source, destination: destination[0] == BOB
            began = asyncio.get_running_loop().time()
            if method == "INVITE":
                outcome = await scene.call()
            else:
                answers = await asyncio.gather(scene.alice.request(scene.request(method)), return_exceptions=True)
                outcome = getattr(answers[0], "status", type(answers[0]).__name__)
            return outcome, asyncio.get_running_loop().time() - began

    network = Network()
    outcome, took = run(network, script)
    # RFC 4320 4.2: to anything but INVITE a proxy answers nothing after a time-out; its client has its own.
    assert outcome == ("TransactionTimeoutError" if shape == "endpoints" or method == "OPTIONS" else 408)
    assert 31 < took < 34


@pytest.mark.parametrize("shape", SHAPES)
def test_a_call_that_is_given_up_while_nobody_hears_it(shape):
    """The CANCEL is never answered, nor is the INVITE: 64*T1 after the CANCEL it is over all the same (9.1)."""

    async def script():
        async with stage(network, shape) as scene:
            scene.answer_after = None
            invite = scene.alice.invite(scene.request("INVITE"))
            running = asyncio.ensure_future(invite.run())
            await asyncio.sleep(2)
            network.drops = lambda data, source, destination: source[0] == scene.alice.contact("udp", None).sip_uri.host
            invite.cancel()
            began = asyncio.get_running_loop().time()
            outcome = (await asyncio.gather(running, return_exceptions=True))[0]
            took = asyncio.get_running_loop().time() - began
            # The others have heard nothing of it: whoever rings goes on until it is answered, or timer C of a proxy.
            network.drops = None
            if shape == "endpoints":
                for exchange in list(scene.bob._servers.values()):
                    exchange.invite.reject(480)
            return type(outcome).__name__, took

    network = Network()
    outcome, took = run(network, script)
    assert outcome == "CallCancelledError"
    assert 31 < took < 34


@pytest.mark.parametrize("shape", SHAPES)
def test_a_call_whose_caller_is_cut_off_is_ended_by_the_callee(shape):
    """Bob's 200 is never acknowledged: after 64*T1 he ends the call (13.3.1.4)."""

    async def script():
        async with stage(network, shape) as scene:
            network.drops = lambda data, source, destination: data.startswith(b"ACK ")
            dialog = await scene.alice.invite(scene.request("INVITE")).run()
            return await asyncio.wait_for(dialog.ended, 60)

    network = Network()
    assert run(network, script) == "remote"


@pytest.mark.parametrize("lost", [NEAR, FAR])
def test_a_proxy_that_dies_in_the_middle_of_a_call(lost):
    async def script():
        async with stage(network, "triangle") as scene:
            dialog = await scene.alice.invite(scene.request("INVITE")).run()
            await asyncio.sleep(1)
            network.drops = lambda data, source, destination: lost in (source[0], destination[0])
            await asyncio.wait_for(dialog.bye(), 60)
            assert dialog.ended.result() == "local"
            await asyncio.gather(*(one.bye() for one in scene.answered))
            return scene.counts()

    network = Network()
    run(network, script)


@pytest.mark.parametrize("moment", ["ringing", "answer under way", "answer unseen"])
def test_a_task_that_is_cancelled_leaves_no_call_behind(moment):
    async def script():
        async with stage(network, "endpoints") as scene:
            invite = scene.alice.invite(scene.request("INVITE"))
            running = asyncio.ensure_future(invite.run())
            await asyncio.sleep({"ringing": 0.2, "answer under way": 0.515, "answer unseen": 0.2}[moment])
            if moment == "answer unseen":
                invite._final.add_done_callback(lambda _: running.cancel())
            else:
                running.cancel()
            await asyncio.wait((running,))
            assert running.cancelled()
            await asyncio.sleep(2)
            assert len(scene.answered) == (moment != "ringing")
            assert not scene.alice.dialogs
            assert not scene.bob.dialogs

    network = Network()
    run(network, script)
