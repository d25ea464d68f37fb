"""Clocks that jump: the steady one after a sleep of the machine, the wall clock whenever somebody sets it."""

from __future__ import annotations

import asyncio
import time

import pytest
from fault_stage import SHAPES, stage
from proxy_stage import Stage, make_request
from virtual_network import Faults, Network, run

from sip import Credentials, DigestClient, DigestServer, RegistrarSettings, SipUri, Timers
from sip.registrar.location_service import LocationService
from sip.registrar.store_memory import MemoryLocationStore
from sip.transaction.client import ClientTransaction, Send, TimedOut
from sip.transaction.server import ServerTransaction

YEAR = 365 * 24 * 3600.0


@pytest.mark.parametrize("jump", [40.0, 3600.0, 12 * 3600.0])
@pytest.mark.parametrize("moment", [0.005, 0.1, 0.6, 2.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_machine_that_was_asleep(shape, moment, jump):
    """All timers are due at once when it wakes, in whatever state the call was; nobody crashes, nothing is left."""

    async def script():
        async with stage(network, shape) as scene:
            loop = asyncio.get_running_loop()
            loop.call_later(moment, loop.pass_time, jump)
            outcome = await scene.call()
            await asyncio.sleep(400)
            # Datagrams that were under way are long gone; what was sent again got through, or it is a time-out.
            for dialog in list(scene.bob.dialogs.values()):
                await dialog.bye()
            assert await scene.call() == "finished"
            return outcome

    network = Network()
    assert run(network, script) in {"finished", "TransactionTimeoutError", "CallCancelledError", 408}


@pytest.mark.parametrize("jump", [-YEAR, -60.0, 60.0, YEAR])
def test_the_wall_clock_matters_to_no_call(monkeypatch, jump):
    """Each reading of it is off by another jump: transactions and dialogs go by the steady clock only."""
    real, reads = time.time, []

    def jumping():
        reads.append(None)
        return real() + jump * len(reads)

    monkeypatch.setattr(time, "time", jumping)

    async def script():
        async with stage(network, "triangle") as scene:
            return await asyncio.gather(*(scene.call() for _ in range(10)))

    network = Network(7, Faults(loss=0.2, jitter=0.5))
    assert run(network, script) == ["finished"] * 10


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
@pytest.mark.parametrize("reliable", [True, False])
def test_transactions_survive_a_clock_that_goes_back(method, reliable):
    """A steady clock never does; if one did, a timer is late by as much, and is not lost, nor repeated in a storm."""
    client = ClientTransaction(make_request(method), reliable=reliable)
    client.start(1000.0)
    assert client.handle_timer(500.0) == []
    sent = 0
    now = 500.0
    while not client.terminated:
        now = max(now, client.next_timer())
        outputs = client.handle_timer(now)
        sent += sum(isinstance(one, Send) for one in outputs)
    assert outputs == [TimedOut()]
    assert now == 1032.0
    assert sent <= 11
    request = make_request(method)
    server = ServerTransaction(request, reliable=reliable)
    server.start(1000.0)
    server.respond(request.create_response(486), 400.0)
    assert server.handle_timer(300.0) == []
    while not server.terminated:
        server.handle_timer(server.next_timer())
    assert server.next_timer() is None


@pytest.mark.parametrize("jump", [-900.0, 100000.0])
def test_a_proxy_whose_clock_jumps(jump):
    stage = Stage(timers=Timers())
    stage.request(make_request())
    stage.now += jump
    stage.request(make_request(branch="z9hG4bKother", cseq=2))
    for sent in [one for one in stage.take() if one.what == "INVITE"]:
        stage.answer(sent, 486)
    stage.pass_time(2000)
    assert stage.proxy.active_transactions == stage.proxy.active_contexts == 0


def challenged(server, client):
    request = make_request("MESSAGE", "sip:bob@example.com")
    found = server.check(request, source="192.0.2.50")
    response = server.refuse(request, found)
    client.authorize(request, response, source="192.0.2.1")
    return request


def test_a_nonce_outlives_no_sleep_and_the_client_goes_on_with_the_next():
    """Ahead of its time it is stale, which asks for no new password; before its time as well."""
    now = [1_000_000.0]
    server = DigestServer.with_passwords("example.com", {"alice": "secret"}, clock=lambda: now[0])
    client = DigestClient((Credentials(realm="example.com", username="alice", password="secret"),))
    for jump in (24 * 3600.0, -48 * 3600.0):
        request = challenged(server, client)
        now[0] += jump
        found = server.check(request, source="192.0.2.50")
        assert found.verdict.name == "STALE"
        assert "stale=true" in server.refuse(request, found).headers.get("WWW-Authenticate")
        assert server.check(challenged(server, client), source="192.0.2.50").verdict.name == "ACCEPTED"


async def test_a_location_service_whose_wall_clock_is_set():
    """Bindings are kept by the wall clock, which outlives restarts: put forward they expire, put back none is lost."""
    now = [1_700_000_000.0]
    settings = RegistrarSettings(frozenset(("example.com",)))
    service = await LocationService.create(MemoryLocationStore(), settings, clock=lambda: now[0])
    address = SipUri.parse("sip:bob@example.com")

    async def register(cseq):
        request = make_request("REGISTER", "sip:example.com", cseq=cseq, Contact="<sip:bob@192.0.2.7>", Expires="600")
        response = await service.register(request, user="bob")
        assert response.status == 200
        return response.headers.get("Contact")

    await register(1)
    now[0] += 3600
    assert not (await service.locate(address)).groups
    assert "expires=600" in await register(2)
    now[0] -= YEAR
    assert (await service.locate(address)).groups
    assert "expires=600" in await register(3)
    now[0] += 599
    assert (await service.locate(address)).groups
    now[0] += 2
    assert not (await service.locate(address)).groups
