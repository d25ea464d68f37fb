"""sipp places many calls at our answering endpoint over UDP with Digest; nothing fails and nothing is left behind."""

from __future__ import annotations

import asyncio

import pytest
from peers.sipp import SippCaller

from securertc import MediaSecurity, SecurityPolicy
from sip import Timers

pytestmark = [pytest.mark.interop("sipp"), pytest.mark.timeout(120)]
CALLS = 200


async def test_two_hundred_calls_with_digest(tmp_path, settings, ours):
    policy = SecurityPolicy(media=MediaSecurity.OFF)
    # A shorter T1 ends the transactions' lingering, 64*T1, within the test; nothing is retransmitted on loopback.
    options = {"realm": "test.local", "users": {"joe": "secret"}, "digest_algorithms": ("MD5",)}
    tasks_before = len(asyncio.all_tasks())
    async with ours(settings("service", policy=policy, timers=Timers(t1=0.25), **options), transport="udp") as side:
        target = f"127.0.0.1:{side.port}"
        with SippCaller(tmp_path, target=target, scenario="sipp_caller_digest.xml", calls=CALLS, rate=50) as peer:
            assert await asyncio.to_thread(peer.wait, seconds=90) == 0
        totals = peer.totals()
        assert totals["successful"] == CALLS
        assert totals["failed"] == 0
        assert side.calls.qsize() == CALLS
        assert not side.endpoint.calls
        assert side.endpoint.user_agent.active_dialogs == 0
        await asyncio.sleep(17.0)  # timers J and L of the last call
        assert side.endpoint.user_agent.active_transactions == 0
        assert len(asyncio.all_tasks()) == tasks_before
