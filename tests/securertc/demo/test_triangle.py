"""The SIP triangle: two proxies that find each other by DNS and prove their domains; media goes straight."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from securertc import CallRefusedError, Endpoint, EndpointSettings
from securertc.demo.triangle import HOST, Triangle, TriangleUser
from sip import Credentials, SipError
from sip.discovery.dns_records import HostAddress, Question, Srv

ALICE = TriangleUser("alice", "local.edu", "phone1.local.edu", "alice's secret")
JOE = TriangleUser("joe", "remote.edu", "phone31.remote.edu", "joe's secret")


@pytest.fixture
async def triangle(tmp_path):
    hops = []
    async with Triangle((ALICE, JOE), tmp_path, algorithm="SHA-256", on_hop=hops.append) as made:
        made.hops = hops
        yield made


@contextlib.asynccontextmanager
async def phone(triangle, user, *, password=None, **more):
    settings = EndpointSettings(
        user.aor,
        tls=triangle.files_of(user),
        credentials=(Credentials(user.domain, user.name, password or user.password),),
        outbound_proxy=triangle.outbound_proxy(user),
    )
    async with Endpoint(settings, **more) as endpoint:
        yield endpoint


def answering(calls):
    def on_call(incoming):
        calls.append(asyncio.ensure_future(incoming.answer()))

    return on_call


async def test_a_call_takes_three_proven_hops_and_its_media_none(triangle):
    calls = []
    async with phone(triangle, JOE, on_call=answering(calls)) as joe, phone(triangle, ALICE) as alice:
        await joe.register()
        await alice.register()
        triangle.hops.clear()
        call = await alice.call(JOE.aor)
        answered = await calls[0]
        invites = [(hop.sender, hop.receiver, hop.proven) for hop in triangle.hops if hop.what == "INVITE"]
        assert invites == [("local.edu", "remote.edu", "remote.edu"), ("remote.edu", JOE.phone, JOE.phone)]
        assert [hop.receiver for hop in triangle.hops if hop.what.startswith("407")] == [ALICE.phone]
        assert all(hop.proven and hop.transport == "TLS" for hop in triangle.hops)
        await answered.hangup()  # joe's BYE goes back by both proxies
        await call.wait_ended()
        byes = [(hop.sender, hop.receiver) for hop in triangle.hops if hop.what == "BYE"]
        assert byes == [("remote.edu", "local.edu"), ("local.edu", ALICE.phone)]
    assert Question("remote.edu", "NAPTR") in triangle.zone.asked
    assert Question("_sips._tcp.remote.edu", "SRV") in triangle.zone.asked


async def test_the_first_hop_asks_who_it_is(triangle):
    async with phone(triangle, ALICE, password="a guess") as alice:
        with pytest.raises(SipError):
            await alice.call(JOE.aor)
    assert not any(hop.what == "INVITE" for hop in triangle.hops)


async def test_dns_that_leads_to_another_server_is_found_out(triangle):
    """The zone sends remote.edu to the proxy of local.edu, which cannot prove that it is remote.edu."""
    port = triangle.port("local.edu")
    triangle.zone.replace(
        {
            Question("_sips._tcp.remote.edu", "SRV"): (Srv(1, 1, port, "sip.remote.edu"),),
            Question("sip.remote.edu", "A"): (HostAddress(HOST),),
        }
    )
    async with phone(triangle, ALICE) as alice:
        with pytest.raises(CallRefusedError) as refused:
            await alice.call(JOE.aor)
    assert refused.value.status == 500  # what a 503 of one hop becomes upstream (RFC 3261 16.7)
    assert not any(hop.what == "INVITE" for hop in triangle.hops)


async def test_nobody_calls_in_the_name_of_a_domain_that_is_not_his(triangle):
    """A certificate of the same authority, for another domain: its chain is good, the name in From is not."""
    files = triangle.files_of(ALICE)
    mallory = Endpoint(EndpointSettings("sip:dean@bank.edu", tls=files, outbound_proxy=triangle.outbound_proxy(JOE)))
    try:
        with pytest.raises(CallRefusedError) as refused:
            await mallory.call(JOE.aor)
    finally:
        await mallory.close()
    assert refused.value.status == 403
    assert not any(hop.what == "INVITE" for hop in triangle.hops)
