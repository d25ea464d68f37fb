"""Flows that are kept open (RFC 5626): the rules of keep-alives, and user agents with registrars and proxies."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from aioice import stun

from sdp.ice.stun import StunAttribute, StunClass, StunMessage, decode_xor_address, encode_error, encode_xor_address
from sip import (
    Credentials,
    DigestClient,
    LocationService,
    MemoryLocationStore,
    RegistrarSettings,
    RequestFailedError,
    SipUri,
    Timers,
    TransportError,
    client_context,
    server_context,
)
from sip.digest.server import DigestServer
from sip.message.message import Response
from sip.transport.keep_alive import (
    PING,
    CrlfKeepAlive,
    KeepAliveTimes,
    StunKeepAlive,
    answer_binding,
    flow_timer_of,
)
from sip.user_agent.outbound import OutboundRegistration, OutboundTimes, new_instance
from sip.user_agent.user_agent import UserAgent

FAST = Timers(t1=0.02, t2=0.16, t4=0.05, completed_invite=0.3)
TIMES = OutboundTimes(0.1, 0.2, 0.5, KeepAliveTimes((0.08, 0.1), (0.08, 0.1), pong_timeout=0.3, stun_rto=0.005))
INSTANCE = new_instance()
AOR = SipUri.parse("sip:alice@example.com")


def lowest(low, high):
    return low


def test_pings_and_pongs():
    keeper = CrlfKeepAlive(0.0, (95.0, 120.0), KeepAliveTimes(), lowest)
    assert keeper.next_timer() == 95.0
    assert keeper.handle_timer(94.0) is None
    assert keeper.handle_timer(95.0) == PING
    assert keeper.next_timer() == 105.0
    assert not keeper.answered
    keeper.heard(96.0)
    assert (keeper.answered, keeper.next_timer()) == (True, 191.0)
    keeper.heard(97.0)  # nothing was asked
    assert keeper.next_timer() == 191.0
    assert keeper.handle_timer(191.0) == PING
    assert keeper.handle_timer(200.9) is None
    assert keeper.failure is None
    assert keeper.handle_timer(201.0) is None
    assert "10 s" in keeper.failure


def test_stun_is_sent_seven_times_and_given_up():
    keeper = StunKeepAlive(0.0, (24.0, 29.0), KeepAliveTimes(), lowest)
    sent = []
    while keeper.failure is None:
        now = keeper.next_timer()
        data = keeper.handle_timer(now)
        if data is not None:
            sent.append((now, data))
    assert [time for time, _ in sent] == [24.0, 24.5, 25.5, 27.5, 31.5, 39.5, 55.5]
    assert keeper.next_timer() == 63.5
    assert len({data for _, data in sent}) == 1


def answered(keeper, now, address):
    data = keeper.handle_timer(now)
    keeper.receive(answer_binding(data, address), now)


def test_a_changed_address_at_the_nat_is_a_failure():
    keeper = StunKeepAlive(0.0, (24.0, 29.0), KeepAliveTimes(), lowest)
    answered(keeper, 24.0, ("192.0.2.1", 1000))
    assert (keeper.mapped, keeper.answered, keeper.next_timer()) == (("192.0.2.1", 1000), True, 48.0)
    answered(keeper, 48.0, ("192.0.2.1", 1000))
    assert keeper.failure is None
    answered(keeper, 72.0, ("192.0.2.1", 1001))
    assert "changed" in keeper.failure


def test_only_answers_to_our_requests_count():
    keeper = StunKeepAlive(0.0, (24.0, 29.0), KeepAliveTimes(), lowest)
    request = StunMessage.parse(keeper.handle_timer(24.0))
    other = StunMessage(StunClass.ERROR, attributes=((StunAttribute.ERROR_CODE, encode_error(500, "no")),))
    without_address = StunMessage(StunClass.SUCCESS, transaction_id=request.transaction_id)
    for data in (b"", b"\0" * 20, other.serialize(), without_address.serialize(), request.serialize()):
        keeper.receive(data, 24.1)
        assert (keeper.failure, keeper.answered) == (None, False)
    refused = StunMessage(StunClass.ERROR, transaction_id=request.transaction_id, attributes=other.attributes)
    keeper.receive(refused.serialize(), 24.1)
    assert keeper.failure is not None


def test_binding_requests_are_answered():
    request = StunMessage(StunClass.REQUEST)
    answer = StunMessage.parse(answer_binding(request.serialize(), ("2001:db8::1", 5060)))
    assert (answer.message_class, answer.transaction_id) == (StunClass.SUCCESS, request.transaction_id)
    value = answer.attribute(StunAttribute.XOR_MAPPED_ADDRESS)
    assert decode_xor_address(value, request.transaction_id) == ("2001:db8::1", 5060)
    strange = StunMessage(StunClass.REQUEST, attributes=((0x7FFF, b""),))
    assert StunMessage.parse(answer_binding(strange.serialize(), ("192.0.2.1", 1))).message_class is StunClass.ERROR
    value = encode_xor_address(("192.0.2.1", 1), request.transaction_id)
    ours = StunMessage(StunClass.SUCCESS, attributes=((StunAttribute.XOR_MAPPED_ADDRESS, value),))
    for data in (ours.serialize(), request.serialize()[:-1], b"\1" * 40):
        assert answer_binding(data, ("192.0.2.1", 1)) is None


def test_another_stun_client_understands_our_answer():
    """aioice, whose STUN is its own, reads what a SIP port of ours answers."""
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    answer = stun.parse_message(answer_binding(bytes(request), ("192.0.2.7", 40000)))
    assert answer.message_class is stun.Class.RESPONSE
    assert answer.transaction_id == request.transaction_id
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == ("192.0.2.7", 40000)


def test_the_wait_doubles_and_is_bounded():
    times = OutboundTimes()
    waits = [times.retry_delay(count, all_failed=True, uniform=lowest) for count in range(1, 9)]
    assert waits == [30.0, 60.0, 120.0, 240.0, 480.0, 900.0, 900.0, 900.0]
    assert times.retry_delay(1, all_failed=False, uniform=lambda low, high: high) == 180.0
    assert times.retry_delay(10**6, all_failed=True, uniform=lambda low, high: high) == 1800.0


@pytest.mark.parametrize(
    ("value", "seconds"), [(None, None), ("120", 120), (" 30 ", 30), ("0", None), ("x", None), ("9" * 30, None)]
)
def test_flow_timer(value, seconds):
    response = Response(200, "OK")
    if value is not None:
        response.headers.add("Flow-Timer", value)
    assert flow_timer_of(response) == seconds
    low, high = KeepAliveTimes().interval(seconds, reliable=True)
    assert (low, high) == ((95.0, 120.0) if seconds is None else (0.8 * seconds, seconds))


class Stage:
    """Registrars for example.com with one store, and user agents at them."""

    def __init__(self, authority):
        self.authority = authority
        self.store = MemoryLocationStore()
        self.agents = []

    async def registrar(self, transport, port=0):
        service = await LocationService.create(self.store, RegistrarSettings(frozenset(("example.com",))))
        clock = asyncio.get_running_loop().time
        digest = DigestServer.with_passwords("example.com", {"alice": "secret"}, clock=clock, algorithms=("SHA-256",))
        made = self.agent(registrar=service, authenticator=digest)
        tls = server_context(self.authority.issue("registrar")) if transport == "tls" else None
        address = await made.listen(transport, "127.0.0.1", port, tls=tls)
        return made, SipUri.parse(f"sip:127.0.0.1:{address.port};transport={transport};lr")

    def agent(self, **more):
        made = UserAgent(timers=FAST, tls_client=client_context(ca_file=self.authority.ca_path), **more)
        self.agents.append(made)
        return made

    def phone(self):
        return self.agent(digest=DigestClient((Credentials("example.com", "alice", "secret"),)))

    async def bindings(self):
        return sorted((await self.store.load("alice@example.com")).bindings, key=lambda one: one.reg_id or 0)


@pytest.fixture
async def stage(authority):
    tasks = asyncio.all_tasks()
    made = Stage(authority)
    yield made
    for agent in made.agents:
        await agent.close()
        assert agent.active_transactions == agent.connections == 0
        assert not agent.kept
        assert not agent.stun_keepers
    await asyncio.sleep(0.05)
    assert not asyncio.all_tasks() - tasks - {asyncio.current_task()}


@contextlib.asynccontextmanager
async def registered(phone, *proxies):
    registration = OutboundRegistration(phone, AOR, INSTANCE, proxies, times=TIMES)
    await registration.register()
    try:
        yield registration
    finally:
        await registration.stop()


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # of many things, none of which has an event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_flows_are_registered_kept_and_removed(stage, transport):
    proxies = [(await stage.registrar(transport))[1] for _ in range(2)]
    phone = stage.phone()
    async with registered(phone, *proxies) as registration:
        found = await stage.bindings()
        assert [(one.instance, one.reg_id) for one in found] == [(INSTANCE, 1), (INSTANCE, 2)]
        assert all(";ob" in one.contact for one in found)
        assert all(one.outbound for one in registration.flows)
        await until(lambda: all(one._keep_alive and one._keep_alive.answered for one in registration.flows))
        flow = registration.flows[0].flow
        assert phone.contact(transport, "alice", flow=flow).sip_uri.parameters[-1] == ("ob", None)
        assert phone.connections == (0 if transport == "udp" else 2)
        await registration.unregister()
        assert not registration.active
    assert await stage.bindings() == []


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_a_flow_that_fails_is_made_anew_with_its_reg_id(stage, transport):
    first, proxy = await stage.registrar(transport)
    _, other = await stage.registrar("tcp")
    phone = stage.phone()
    async with registered(phone, proxy, other) as registration:
        kept, unharmed = registration.flows
        await until(lambda: kept._keep_alive.answered)
        before = (await stage.bindings())[0]
        await first.close()
        await until(lambda: kept.failure is not None)
        assert registration.active
        assert unharmed.registered
        await stage.registrar(transport, proxy.port)
        await until(lambda: kept.registered)
        assert kept.recovered == 1
        again = (await stage.bindings())[0]
        assert (again.instance, again.reg_id) == (before.instance, before.reg_id)
        assert again.call_id != before.call_id
        assert len(await stage.bindings()) == 2
        assert unharmed.recovered == 0


async def test_a_server_that_falls_silent_is_noticed(stage):
    """Nothing ends the connection: only the missing pong tells."""
    server, proxy = await stage.registrar("tcp")
    async with registered(stage.phone(), proxy) as registration:
        [kept] = registration.flows
        [flow] = server._transports._flows
        flow._stream.pause_reading()
        await until(lambda: kept.failure is not None)
        assert "no answer to a keep-alive" in str(kept.failure)
        await until(lambda: kept.registered)
        assert len(await stage.bindings()) == 1


async def test_without_any_flow_it_says_why_and_keeps_nothing(stage):
    _, proxy = await stage.registrar("tcp")
    nobody = OutboundRegistration(stage.agent(), AOR, INSTANCE, [proxy], times=TIMES)
    with pytest.raises(RequestFailedError) as error:  # no credentials
        await nobody.register()
    assert error.value.status == 401
    await stage.agents[0].close()
    with pytest.raises(TransportError):
        await OutboundRegistration(stage.phone(), AOR, INSTANCE, [proxy], times=TIMES).register()
    for instance in ("alice", "urn:uuid:a>b", 'urn:uuid:"', "urn:x\r\nVia: y", "urn:" + "x" * 300):
        with pytest.raises(ValueError, match="URN"):
            OutboundRegistration(stage.phone(), AOR, instance, [proxy], times=TIMES)
    with pytest.raises(ValueError, match="proxies"):
        OutboundRegistration(stage.phone(), AOR, INSTANCE, [], times=TIMES)


async def test_one_flow_of_two_is_enough(stage):
    _, proxy = await stage.registrar("tcp")
    gone, nowhere = await stage.registrar("tcp")
    await gone.close()
    async with registered(stage.phone(), nowhere, proxy) as registration:
        assert [one.registered for one in registration.flows] == [False, True]
        assert [one.reg_id for one in await stage.bindings()] == [2]
        await stage.registrar("tcp", nowhere.port)
        await until(lambda: registration.flows[0].registered)
        assert [one.reg_id for one in await stage.bindings()] == [1, 2]


async def test_giving_up_leaves_nothing(stage):
    """While the connection is made, and while the registrar does not answer."""
    silent = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    proxy = SipUri.parse(f"sip:127.0.0.1:{silent.sockets[0].getsockname()[1]};transport=tcp;lr")
    for delay in (0, 0.05):
        phone = stage.phone()
        registering = asyncio.ensure_future(OutboundRegistration(phone, AOR, INSTANCE, [proxy], times=TIMES).register())
        await asyncio.sleep(delay)
        registering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await registering
        assert not phone.kept
        assert phone.active_transactions == 0
        await phone.close()
    silent.close()


async def test_two_flows_to_one_server_are_one(stage):
    """They would end together, and each would take the other's answers for its own."""
    _, proxy = await stage.registrar("tcp")
    async with registered(stage.phone(), proxy, proxy) as registration:
        assert sorted(one.registered for one in registration.flows) == [False, True]
        assert len(await stage.bindings()) == 1
