"""Phones that listen nowhere, reached across the triangle by the flows that they keep open (RFC 5626)."""

from __future__ import annotations

import asyncio

import pytest

from securertc import CallRefusedError, Endpoint, EndpointSettings
from securertc.demo.triangle import Triangle, TriangleUser
from sip import Credentials
from sip.user_agent.outbound import new_instance

ALICE = TriangleUser("alice", "local.edu", "phone1.local.edu", "alice's secret")
JOE = TriangleUser("joe", "remote.edu", "phone31.remote.edu", "joe's secret")


def phone(triangle, user, **more):
    settings = EndpointSettings(
        user.aor,
        tls=triangle.files_of(user),
        credentials=(Credentials(user.domain, user.name, user.password),),
        outbound_proxy=triangle.outbound_proxy(user),
        instance=new_instance(),
    )
    return Endpoint(settings, **more)


async def until(condition):
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110  # of many things, none of which has an event
            await asyncio.sleep(0.01)


async def test_calls_before_and_after_the_flow_was_lost(tmp_path, nothing_left):
    arrived = asyncio.Queue()
    async with Triangle((ALICE, JOE), tmp_path, algorithm="SHA-256", on_hop=lambda hop: None) as triangle:
        async with phone(triangle, JOE, on_call=arrived.put_nowait) as joe, phone(triangle, ALICE) as alice:
            await joe.register()
            [kept] = joe.outbound.flows
            assert kept.outbound
            for recovered in (0, 1):
                await until(lambda count=recovered: kept.recovered == count and kept.registered)
                calling = asyncio.ensure_future(alice.call(JOE.aor))
                answered = await (await arrived.get()).answer()
                call = await calling
                # Our Contact holds the dialog to the flow.
                assert call._dialog.dialog.remote_target.parameters[-1] == ("ob", None)
                await call.hangup()
                await answered.wait_ended()
                lost = kept.flow.local
                for flow in list(triangle.servers["remote.edu"]._transports._flows):
                    if flow.remote == lost and not recovered:
                        kept._keep_alive.answered = True  # as after two minutes: or it waits before it comes back
                        flow.abort()
            await joe.outbound.unregister()
            with pytest.raises(CallRefusedError) as refused:
                await alice.call(JOE.aor)
            assert refused.value.status == 480
