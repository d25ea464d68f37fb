"""Subscriptions between two user agents on real sockets (RFC 6665): states that change, refreshes, and all the ends."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from sip import RequestFailedError, SipUri, Timers
from sip.dialog.event_subscription import Event, State
from sip.user_agent.subscriptions import EventServer, Subscription, subscribe_request
from sip.user_agent.user_agent import UserAgent

FAST = Timers(t1=0.02, t2=0.1, t4=0.05, completed_invite=0.2)
ALICE = SipUri.parse("sip:alice@127.0.0.1")


@contextlib.asynccontextmanager
async def stage(transport="udp", *, accept=lambda _: 200, limit=3600, minimum=0):
    """A subscriber, and a notifier whose publications come by the queue; nothing is left afterwards."""
    publications = asyncio.Queue()

    def on_subscribe(publication):
        publications.put_nowait(publication)
        return b"first", "text/plain"

    events = EventServer(["Presence"], on_subscribe, accept=accept, limit=limit, minimum=minimum)
    one, two = UserAgent(timers=FAST), UserAgent(timers=FAST, events=events)
    await one.listen(transport, "127.0.0.1")
    address = await two.listen(transport, "127.0.0.1")
    uri = SipUri.parse(f"sip:bob@127.0.0.1:{address.port};transport={transport}")
    try:
        yield one, two, uri, publications
        await asyncio.sleep(0.1)
        left = [agent.active_dialogs for agent in (one, two)]
    finally:
        await one.close()
        await two.close()
    assert left == [0, 0]


def subscription(agent, uri, package="presence", *, expires=600):
    heard = asyncio.Queue()
    request = subscribe_request(uri, ALICE, Event(package))
    return Subscription(agent, request, lambda notify: heard.put_nowait(notify.body), expires=expires), heard


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_states_come_until_unsubscribed(transport):
    async with stage(transport) as (one, _, uri, publications):
        ours, heard = subscription(one, uri)
        await ours.start()
        theirs = await publications.get()
        assert await asyncio.wait_for(heard.get(), 2) == b"first"
        assert ours.state is theirs.state is State.ACTIVE
        for n in range(3):
            await theirs.notify(b"%d" % n, "text/plain")
            assert await asyncio.wait_for(heard.get(), 2) == b"%d" % n
        await asyncio.gather(*(theirs.notify(b"%d" % n, "text/plain") for n in range(5)))  # each tells the newest
        assert [await asyncio.wait_for(heard.get(), 2) for _ in range(5)][1:] == [b"4"] * 4
        await ours.stop()
        assert heard.get_nowait() == b"4"  # the last NOTIFY has the state too
        assert await ours.ended == "timeout"
        assert await asyncio.wait_for(theirs.ended, 2) == "timeout"
        await theirs.notify(b"too late", "text/plain")
        assert heard.empty()


async def test_the_notifier_ends_it():
    async with stage() as (one, _, uri, publications):
        ours, _ = subscription(one, uri)
        await ours.start()
        await (await publications.get()).terminate("noresource")
        assert await asyncio.wait_for(ours.ended, 2) == "noresource"
        assert ours.resubscribe_in is None


async def test_it_is_refreshed_in_time():
    async with stage(limit=1) as (one, _, uri, publications):
        ours, heard = subscription(one, uri)
        await ours.start()
        theirs = await publications.get()
        await asyncio.sleep(2.2)
        assert ours.state is theirs.state is State.ACTIVE
        assert heard.qsize() >= 3
        await ours.stop()


async def test_a_subscriber_that_is_gone_is_forgotten():
    async with stage() as (one, _, uri, publications):
        ours, _ = subscription(one, uri)
        await ours.start()
        theirs = await publications.get()
        await asyncio.sleep(0.1)
        ours.abandon()
        await theirs.notify(b"x", "text/plain")
        assert await asyncio.wait_for(theirs.ended, 2) == "giveup"  # 481


async def test_a_notifier_that_is_gone_ends_it():
    async with stage() as (one, _, uri, publications):
        ours, heard = subscription(one, uri)
        await ours.start()
        theirs = await publications.get()
        await heard.get()
        theirs.abandon()
        await ours.stop()
        assert await ours.ended is None  # 481 to the SUBSCRIBE


async def test_a_subscription_of_no_time_tells_the_state_once():
    """Expires 0 at once (RFC 6665 4.4.3), and once more within a subscription that it ended (CVE-2026-28799)."""
    async with stage() as (one, two, uri, publications):
        ours, heard = subscription(one, uri, expires=0)
        await ours.start()
        theirs = await publications.get()
        assert await asyncio.wait_for(ours.ended, 2) == "timeout"
        assert await asyncio.wait_for(theirs.ended, 2) == "timeout"
        assert heard.get_nowait() == b"first"
        assert not two.subscriptions
        again, heard = subscription(one, uri)
        await again.start()
        theirs = await publications.get()
        await heard.get()
        await asyncio.gather(again.stop(), again.stop())
        assert await asyncio.wait_for(theirs.ended, 2) == "timeout"
        await again.stop()
        await theirs.terminate("noresource")
        assert not two.subscriptions


@pytest.mark.parametrize(
    ("package", "accept", "status"), [("dialog", 200, 489), ("presence", 403, 403), ("presence", 603, 603)]
)
async def test_refusals(package, accept, status):
    async with stage(accept=lambda _: accept) as (one, _, uri, publications):
        ours, _ = subscription(one, uri, package)
        with pytest.raises(RequestFailedError) as refused:
            await ours.start()
        assert refused.value.response.status == status
        assert ("Allow-Events" in refused.value.response.headers) == (status == 489)
        assert publications.empty()


async def test_a_brief_one_is_423_and_a_pending_one_is_approved():
    async with stage(accept=lambda _: 202, minimum=60) as (one, _, uri, publications):
        brief, _ = subscription(one, uri, expires=5)
        with pytest.raises(RequestFailedError) as refused:
            await brief.start()
        assert refused.value.response.headers.get("Min-Expires") == "60"
        ours, heard = subscription(one, uri)
        await ours.start()
        theirs = await publications.get()
        await heard.get()
        assert ours.state is State.PENDING
        theirs._machine.approve()
        await theirs.notify(b"now", "text/plain")
        assert ours.state is State.ACTIVE
        await ours.stop()


async def test_nobody_subscribes_where_nothing_is_served():
    async with stage() as (one, two, _, _):
        port = one._transports.listening[0].port
        ours, _ = subscription(two, SipUri.parse(f"sip:alice@127.0.0.1:{port}"))
        with pytest.raises(RequestFailedError) as refused:
            await ours.start()
        assert refused.value.response.status == 405


async def test_no_notify_after_the_2xx_fails():
    async with stage() as (one, _, uri, publications):
        ours, _ = subscription(one, uri)
        one._received_request = lambda request, flow: None  # the NOTIFYs are lost
        await ours.start()
        assert await asyncio.wait_for(ours.ended, 3) == "no NOTIFY came"
        assert await asyncio.wait_for((await publications.get()).ended, 3) == "giveup"


async def test_the_notify_may_come_before_the_2xx():
    async with stage() as (one, _, uri, publications):
        receive, held = one._received_response, []
        one._received_response = held.append
        ours, heard = subscription(one, uri)
        starting = asyncio.ensure_future(ours.start())
        assert await asyncio.wait_for(heard.get(), 2) == b"first"
        one._received_response = receive
        for response in held:
            receive(response)
        await starting
        assert (await publications.get()).state is State.ACTIVE
        await ours.stop()
