"""sipp cancels while we ring, and calls through a transport that loses packets."""

from __future__ import annotations

import asyncio

import pytest
from lossy_relay import lossy_relay
from peers.sipp import SippCaller

from securertc import Endpoint, MediaSecurity, SecurityPolicy

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
