"""sipp cancels while we ring, wants and gives reliable responses, and calls through a link that loses packets."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from lossy_relay import lossy_relay
from peers.sipp import SippCallee, SippCaller

from securertc import CallRefusedError, Endpoint, MediaSecurity, SecurityPolicy
from securertc.commands.proxy import create_proxy
from securertc.server.configuration import ListenSettings, LocationSettings, ProxyConfig
from sip import SipUri
from sip.proxy.events import ProxyTarget

pytestmark = [pytest.mark.interop("sipp"), pytest.mark.timeout(60)]
HOST = "127.0.0.1"
PLAIN = SecurityPolicy(media=MediaSecurity.OFF)


async def test_sipp_cancels_while_we_ring(tmp_path, settings):
    async with Endpoint(settings("service", policy=PLAIN), on_call=lambda incoming: incoming.ring()) as endpoint:
        address = await endpoint.listen("udp", HOST, 0)
        target = f"{HOST}:{address.port}"
        with SippCaller(tmp_path, target=target, scenario="sipp_caller_cancels.xml", calls=5, rate=20) as peer:
            assert await asyncio.to_thread(peer.wait, seconds=20) == 0
        assert peer.totals()["successful"] == 5
        assert endpoint.user_agent.active_dialogs == 0


@pytest.mark.parametrize("every", [3, 5])
async def test_calls_finish_though_every_nth_packet_is_lost(tmp_path, settings, ours, every):
    async with (
        ours(settings("service", policy=PLAIN), transport="udp") as side,
        lossy_relay(side.port, every) as (relay, port),
    ):
        target = f"{HOST}:{port}"
        with SippCaller(tmp_path, target=target, scenario="sipp_caller.xml", calls=20, rate=20) as peer:
            assert await asyncio.to_thread(peer.wait, seconds=40) == 0
        totals = peer.totals()
        # INVITE, ACK and BYE of each call come by the relay; responses go straight to the Via, which has no rport.
        assert relay.dropped >= 60 // every
        assert totals["retransmissions"] > 0
        assert totals["successful"] == 20


async def test_sipp_acknowledges_our_ringing(tmp_path, settings):
    """Require: 100rel (RFC 3262): sipp checks RSeq and Require, and sends a PRACK before we answer."""
    calls: list[asyncio.Future[None]] = []

    async def answer(incoming):
        incoming.ring()
        await asyncio.sleep(0.3)
        await (await incoming.answer()).wait_ended()

    async with Endpoint(
        settings("service", policy=PLAIN),
        on_call=lambda incoming: calls.append(asyncio.ensure_future(answer(incoming))),
    ) as endpoint:
        address = await endpoint.listen("udp", HOST, 0)
        target = f"{HOST}:{address.port}"
        with SippCaller(tmp_path, target=target, scenario="sipp_caller_100rel.xml", calls=5, rate=20) as peer:
            assert await asyncio.to_thread(peer.wait, seconds=20) == 0
        assert peer.totals() == {"successful": 5, "failed": 0, "retransmissions": 0}
        await asyncio.gather(*calls)
        assert endpoint.user_agent.active_dialogs == 0


async def test_we_acknowledge_the_progress_of_sipp(tmp_path, settings):
    """Its 183 is reliable and has the answer; sipp checks our RAck, and its 200 has no SDP of its own (RFC 3262 5)."""
    with SippCallee(tmp_path / "sipp", scenario="sipp_callee_100rel.xml") as sipp:
        await asyncio.sleep(0.5)
        async with Endpoint(settings("alice", policy=PLAIN)) as alice:
            await alice.listen("udp", HOST, 0)
            heard: list[int] = []
            call = await alice.call(f"sip:joe@{HOST}:{sipp.port}", on_progress=heard.append)
            assert heard == [183]
            assert call.agreed.remote_port == 6000
            await call.hangup()
            assert await asyncio.to_thread(sipp.wait, seconds=10) == 0


@pytest.mark.parametrize("when", ["late", "early"])
async def test_sipp_cancels_at_the_wrong_time(tmp_path, settings, ours, when):
    """A CANCEL that crosses the 200 changes nothing (RFC 3261 9.2); one before any response ends the INVITE."""
    async with ours(settings("service", policy=PLAIN), transport="udp") as side:
        scenario, target = f"sipp_caller_cancels_{when}.xml", f"{HOST}:{side.port}"
        if when == "early":
            side.endpoint._on_call = lambda incoming: None  # nobody answers
        with SippCaller(tmp_path, target=target, scenario=scenario, calls=5, rate=20) as peer:
            assert await asyncio.to_thread(peer.wait, seconds=20) == 0
        assert peer.totals()["successful"] == 5
        assert side.calls.qsize() == (5 if when == "late" else 0)
        await asyncio.sleep(0.1)
        assert side.endpoint.user_agent.active_dialogs == 0
        assert not side.endpoint.calls


@contextlib.asynccontextmanager
async def forking_proxy(*ports):
    """A proxy of ours that forks calls of joe@ours.test to several ports at once; its outbound proxy URI."""
    targets = tuple(ProxyTarget(SipUri.parse(f"sip:joe@{HOST}:{port};transport=udp")) for port in ports)
    config = ProxyConfig(
        listen=(ListenSettings("udp", HOST, 0),),
        domains=frozenset(("ours.test",)),
        location=LocationSettings("none", static={"joe@ours.test": targets}),
    )
    server, service = await create_proxy(config, None)
    async with server:
        service.identity = server.proxy.identity
        yield f"sip:{HOST}:{server.listening[0].port};transport=udp;lr"


@pytest.mark.parametrize("answer", ["200", "603"])
async def test_a_fork_that_is_decided_cancels_sipp(tmp_path, settings, answer):
    """One branch is sipp, which rings; the other answers, or refuses for all (RFC 3261 16.7)."""
    calls: list[asyncio.Future[None]] = []

    async def decide(incoming):
        await asyncio.sleep(0.4)  # until sipp rings
        if answer == "603":
            incoming.reject(603)
        else:
            await (await incoming.answer()).wait_ended()

    ours = Endpoint(
        settings("joe", policy=PLAIN), on_call=lambda incoming: calls.append(asyncio.ensure_future(decide(incoming)))
    )
    with SippCallee(tmp_path / "sipp", scenario="sipp_callee_cancelled.xml") as sipp:
        await asyncio.sleep(0.5)  # it binds its port; an INVITE that comes earlier is repeated
        async with ours, contextlib.AsyncExitStack() as stack:
            port = (await ours.listen("udp", HOST, 0)).port
            proxy = await stack.enter_async_context(forking_proxy(port, sipp.port))
            alice = Endpoint(settings("alice", policy=PLAIN, outbound_proxy=proxy))
            await stack.enter_async_context(alice)
            await alice.listen("udp", HOST, 0)
            heard: list[int] = []
            calling = alice.call("sip:joe@ours.test", on_progress=heard.append)
            if answer == "603":
                with pytest.raises(CallRefusedError) as refused:
                    await calling
                assert refused.value.status == 603
            else:
                await (await calling).hangup()
            assert 180 in heard
            assert await asyncio.to_thread(sipp.wait, seconds=10) == 0
            await asyncio.gather(*calls)
