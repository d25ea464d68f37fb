"""An exception in a callback is logged, answers 500, and nothing else suffers; coroutine functions are awaited."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from securertc import Call, CallRefusedError, Endpoint, EndpointSettings, IncomingCall, MediaSecurity, SecurityPolicy
from sip import DigestServer, NameAddr, Registrar, RegistrarSettings, Request, SipUri
from sip.dialog.event_subscription import Event
from sip.proxy.server import Listener, OpenHooks, ProxyServer
from sip.user_agent.invite_dialog import InviteDialog
from sip.user_agent.subscriptions import EventServer, Subscription, subscribe_request
from sip.user_agent.user_agent import UserAgent

HOST = "127.0.0.1"
OPEN = SecurityPolicy(media=MediaSecurity.OFF)
TRANSPORTS = ["udp", "tcp"]


class BrokenError(Exception):
    """What the application's callbacks raise here."""


def broken(*_: object) -> Any:
    raise BrokenError("of the application")


async def broken_later(*_: object) -> Any:
    await asyncio.sleep(0)
    raise BrokenError("of the application")


def settings(user: str) -> EndpointSettings:
    return EndpointSettings(f"sip:{user}@example.com", policy=OPEN)


class Answering:
    """Answers each call but those that `spoil` is for, whose callback fails."""

    def __init__(self, spoiled: Callable[[IncomingCall], Any]) -> None:
        self.calls: asyncio.Queue[Call] = asyncio.Queue()
        self.spoiled = spoiled
        self.spoil = False

    def __call__(self, incoming: IncomingCall) -> Any:
        return self.spoiled(incoming) if self.spoil else self.answer(incoming)

    async def answer(self, incoming: IncomingCall) -> None:
        self.calls.put_nowait(await incoming.answer())


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], int]:
    """How many exceptions of the application were logged since it was asked last."""

    def count() -> int:
        found = [one for one in caplog.records if one.exc_info and one.exc_info[0] is BrokenError]
        assert all(one.levelno == logging.ERROR for one in found)
        caplog.clear()
        return len(found)

    return count


async def soon(logged: Callable[[], int]) -> int:
    """What was logged, once something was."""
    for _ in range(300):
        found = logged()
        if found:
            return found
        await asyncio.sleep(0.01)
    return 0


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("spoiled", [broken, broken_later])
async def test_on_call_that_fails_answers_500_and_leaves_other_calls(spoiled, transport, logged):
    """A call on the same connection goes on, and the next one is taken."""
    on_call = Answering(spoiled)
    async with Endpoint(settings("bob"), on_call=on_call) as bob, Endpoint(settings("alice")) as alice:
        uri = f"sip:bob@{HOST}:{(await bob.listen(transport)).port};transport={transport}"
        standing = await alice.call(uri)
        theirs = await on_call.calls.get()
        on_call.spoil = True
        with pytest.raises(CallRefusedError) as refused:
            await alice.call(uri)
        assert refused.value.status == 500
        assert logged() == 1
        on_call.spoil = False
        await (await alice.call(uri)).hangup()
        assert theirs.active
        assert bob.user_agent.connections == (transport == "tcp")
        await standing.hangup()
        assert await theirs.wait_ended() == "remote"


def cancelled(*_: object) -> Any:
    raise asyncio.CancelledError


async def cancelled_later(*_: object) -> Any:
    await asyncio.sleep(0)
    raise asyncio.CancelledError  # as by awaiting what another task has cancelled


def with_a_yield(incoming: IncomingCall) -> Any:
    incoming.reject(486)
    yield


async def with_a_yield_later(incoming: IncomingCall) -> Any:
    incoming.reject(486)
    yield


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("spoiled", [cancelled, cancelled_later, with_a_yield, with_a_yield_later])
async def test_on_call_that_does_not_run_to_its_end_answers_500(spoiled, transport, caplog):
    """What was cancelled elsewhere ends no connection; a generator, which does nothing when called, is told of."""
    on_call = Answering(spoiled)
    async with Endpoint(settings("bob"), on_call=on_call) as bob, Endpoint(settings("alice")) as alice:
        uri = f"sip:bob@{HOST}:{(await bob.listen(transport)).port};transport={transport}"
        standing = await alice.call(uri)
        theirs = await on_call.calls.get()
        on_call.spoil = True
        with pytest.raises(CallRefusedError) as refused:
            await alice.call(uri)
        assert refused.value.status == 500
        assert "an error in" in caplog.text
        assert theirs.active
        await standing.hangup()
        assert await theirs.wait_ended() == "remote"


@pytest.mark.parametrize("status", [200, 100, 180, 302, 399, 700, "busy", True, None])
async def test_a_refusal_refuses(status):
    """With 200 the caller took the call for answered, with 100 it waited for nothing."""
    said: list[Exception] = []

    def on_call(incoming: IncomingCall) -> None:
        try:
            incoming.reject(status)
        except ValueError as error:
            said.append(error)
            assert incoming.pending
            incoming.reject(486)

    async with Endpoint(settings("bob"), on_call=on_call) as bob, Endpoint(settings("alice")) as alice:
        with pytest.raises(CallRefusedError) as refused:
            await alice.call(f"sip:bob@{HOST}:{(await bob.listen('udp')).port}")
    assert refused.value.status == 486
    assert "it must be a number from 400 to 699" in str(said[0])


async def test_a_coroutine_is_awaited_and_close_ends_it():
    """`async def` answers as a function does, and one that never returns does not hold up close()."""
    ended = asyncio.Event()
    answered: asyncio.Queue[Call] = asyncio.Queue()

    async def on_call(incoming: IncomingCall) -> None:
        answered.put_nowait(await incoming.answer())
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with Endpoint(settings("alice")) as alice:
        bob = Endpoint(settings("bob"), on_call=on_call)
        await alice.call(f"sip:bob@{HOST}:{(await bob.listen('udp')).port}")
        await answered.get()
        await bob.close()
        assert ended.is_set()


async def test_close_from_within_on_call():
    closed = asyncio.Event()

    async def on_call(incoming: IncomingCall) -> None:
        incoming.reject(486)
        await bob.close()
        closed.set()

    bob = Endpoint(settings("bob"), on_call=on_call)
    async with Endpoint(settings("alice")) as alice:
        with pytest.raises(CallRefusedError):
            await alice.call(f"sip:bob@{HOST}:{(await bob.listen('udp')).port}")
        await asyncio.wait_for(closed.wait(), 5)


@pytest.mark.parametrize("spoiled", [broken, broken_later])
async def test_on_message(spoiled, logged):
    async with Endpoint(settings("bob"), on_message=spoiled) as bob, Endpoint(settings("alice")) as alice:
        await alice.listen("udp")
        with pytest.raises(CallRefusedError) as refused:
            await alice.send_message(f"sip:bob@{HOST}:{(await bob.listen('udp')).port}", "text")
        assert refused.value.status == 500
        assert logged() == 1


async def test_on_message_is_awaited_before_the_200():
    heard = []

    async def on_message(message: object) -> None:
        await asyncio.sleep(0)
        heard.append(message)

    async with Endpoint(settings("bob"), on_message=on_message) as bob, Endpoint(settings("alice")) as alice:
        await alice.listen("udp")
        await alice.send_message(f"sip:bob@{HOST}:{(await bob.listen('udp')).port}", "text")
        assert len(heard) == 1


@pytest.mark.parametrize("spoiled", [broken, broken_later])
async def test_on_progress(spoiled, logged):
    """The caller's own callback fails, and the call comes about all the same."""

    async def on_call(incoming: IncomingCall) -> None:
        incoming.ring()
        await asyncio.sleep(0.05)
        await incoming.answer()

    async with Endpoint(settings("bob"), on_call=on_call) as bob, Endpoint(settings("alice")) as alice:
        call = await alice.call(f"sip:bob@{HOST}:{(await bob.listen('udp')).port}", on_progress=spoiled)
        assert call.active
        assert logged() >= 1
        await call.hangup()


async def established(bob: Endpoint, alice: Endpoint, on_call: Answering) -> tuple[Call, Call]:
    ours = await alice.call(f"sip:bob@{HOST}:{(await bob.listen('udp')).port}")
    return ours, await on_call.calls.get()


@pytest.mark.parametrize("spoiled", [broken, broken_later])
async def test_on_info(spoiled, logged):
    on_call = Answering(broken)
    async with Endpoint(settings("bob"), on_call=on_call) as bob, Endpoint(settings("alice")) as alice:
        ours, theirs = await established(bob, alice, on_call)
        theirs.on_info = spoiled
        with pytest.raises(CallRefusedError) as refused:
            await ours.send_info(b"1", "application/dtmf-relay")
        assert refused.value.status == 500
        assert logged() == 1
        heard = []

        async def on_info(info: object) -> None:
            heard.append(info)

        theirs.on_info = on_info
        await ours.send_info(b"1", "application/dtmf-relay")
        assert len(heard) == 1
        assert theirs.active


@pytest.mark.parametrize("spoiled", [broken, broken_later])
async def test_on_transfer(spoiled, logged):
    on_call = Answering(broken)
    async with Endpoint(settings("bob"), on_call=on_call) as bob, Endpoint(settings("alice")) as alice:
        ours, theirs = await established(bob, alice, on_call)
        theirs.on_transfer = spoiled
        with pytest.raises(CallRefusedError) as refused:
            await ours.transfer("sip:carol@example.com")
        assert refused.value.status == 500
        assert logged() == 1
        assert ours.active
        assert theirs.active


@pytest.mark.parametrize("spoiled", [broken, broken_later])
async def test_on_keying_failure(spoiled, logged):
    on_call = Answering(broken)
    async with Endpoint(settings("bob"), on_call=on_call) as bob, Endpoint(settings("alice")) as alice:
        ours, _ = await established(bob, alice, on_call)
        ours._media.on_keying_failure = spoiled
        ours._media._not_keyed("no keys")
        assert await soon(logged) == 1


# Of dialogs: what a user agent's own users may set.


def dialog_of(call: Call) -> InviteDialog:
    return call._dialog


@pytest.mark.parametrize("spoiled", [broken, broken_later])
@pytest.mark.parametrize("name", ["on_reinvite", "INFO", "on_ack", "offer", "on_refreshed"])
async def test_callbacks_of_dialogs(name, spoiled, logged):
    on_call = Answering(broken)
    async with Endpoint(settings("bob"), on_call=on_call) as bob, Endpoint(settings("alice")) as alice:
        ours, theirs = await established(bob, alice, on_call)
        dialog = dialog_of(theirs)
        if name == "INFO":
            dialog.answers["INFO"] = spoiled
            response = await dialog_of(ours).request("INFO", body=b"x", content_type="text/plain")
            assert response.status == 500
            assert logged() == 1
        elif name == "on_reinvite":
            dialog.on_reinvite = spoiled
            with pytest.raises(CallRefusedError) as refused:
                await ours.renew()
            assert refused.value.status == 500
            assert logged() == 1
        elif name == "on_ack":
            dialog.on_ack = spoiled
            await ours.renew()
            assert await soon(logged) == 1
        elif name == "on_refreshed":
            dialog_of(ours).peer_methods = frozenset()
            dialog_of(ours).on_refreshed = spoiled
            assert await dialog_of(ours)._refresh()
            assert await soon(logged) == 1
        else:
            dialog_of(ours).peer_methods = frozenset()
            dialog_of(ours).offer = spoiled
            with pytest.raises(BrokenError):  # in a task of the session timer, which ends nothing but itself
                await dialog_of(ours)._refresh()
        assert theirs.active
        assert ours.active


async def test_a_reinvite_is_answered_by_a_coroutine():
    on_call = Answering(broken)
    async with Endpoint(settings("bob"), on_call=on_call) as bob, Endpoint(settings("alice")) as alice:
        ours, theirs = await established(bob, alice, on_call)
        answer = dialog_of(theirs).on_reinvite
        assert answer is not None

        async def later(request: Request) -> Any:
            await asyncio.sleep(0.01)
            return answer(request)

        dialog_of(theirs).on_reinvite = later
        await ours.hold()
        assert ours.active


# Of a proxy.


class Hooks(OpenHooks):
    """Fails where it is told to."""

    def __init__(self, which: str, spoiled: Callable[..., Any]) -> None:
        setattr(self, which, spoiled)


class Nobody:
    """A location service without users."""

    async def targets(self, *_: object) -> tuple[object, ...]:
        return ()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("which", "spoiled", "status"),
    [
        ("authorize", broken, 500),
        ("authorize", broken_later, 500),  # a coroutine is no answer, and lets nobody pass
        ("serve", broken_later, 500),
        ("observer", broken, 480),
        ("observer", broken_later, 480),
        ("targets", broken_later, 500),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
async def test_callbacks_of_a_proxy(which, spoiled, status, transport):
    location = Nobody()
    if which == "targets":
        location.targets = spoiled  # type: ignore[method-assign]
    proxy = ProxyServer(
        [Listener(transport, HOST, 0)],
        domains=frozenset(("example.com",)),
        location=location,  # type: ignore[arg-type]
        hooks=Hooks(which, spoiled) if which in ("authorize", "serve") else None,
        observer=spoiled if which == "observer" else None,
    )
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    async with proxy:
        other = UserAgent(outbound_proxy=SipUri.parse(f"sip:{HOST}:{proxy.listening[0].port};transport={transport};lr"))
        try:
            uri = "sip:example.com" if which == "serve" else "sip:bob@example.com"
            request = subscribe_request(SipUri.parse(uri), SipUri.parse("sip:alice@example.com"), Event("x"))
            request.method = "REGISTER" if which == "serve" else "MESSAGE"
            request.headers.set("CSeq", f"1 {request.method}")
            assert (await other.request(request)).status == status
            assert proxy.connections == (transport == "tcp")
        finally:
            await other.close()


# Of a user agent.


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("spoiled", [broken, broken_later])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
async def test_callbacks_of_a_user_agent(method, spoiled, transport, logged):
    agent = UserAgent(on_invite=spoiled, on_request=spoiled, extra_methods=frozenset(("MESSAGE",)))
    other = UserAgent()
    try:
        port = (await agent.listen(transport, HOST)).port
        target = SipUri.parse(f"sip:bob@{HOST}:{port};transport={transport}")
        request = subscribe_request(target, SipUri.parse("sip:alice@example.com"), Event("x"))
        request.method = method
        request.headers.set("CSeq", f"1 {method}")
        request.headers.set("Contact", str(NameAddr(SipUri.parse(f"sip:alice@{HOST}:5999"))))
        response = await other.request(request)
        assert response.status == 500
        assert logged() == 1
        assert agent.connections == (transport == "tcp")
    finally:
        await other.close()
        await agent.close()


@pytest.mark.parametrize("spoiled", [broken, broken_later])
@pytest.mark.parametrize("which", ["accept", "on_subscribe", "on_notify"])
async def test_callbacks_of_subscriptions(which, spoiled, logged):
    async def accept(_: Request) -> int:
        return 200

    async def on_subscribe(_: object) -> tuple[bytes, str | None]:
        return b"state", "text/plain"

    events = EventServer(
        ("presence",),
        spoiled if which == "on_subscribe" else on_subscribe,
        accept=spoiled if which == "accept" else accept,
    )
    agent, other = UserAgent(events=events), UserAgent()
    try:
        port = (await agent.listen("udp", HOST)).port
        await other.listen("udp", HOST)
        target = SipUri.parse(f"sip:bob@{HOST}:{port}")
        request = subscribe_request(target, SipUri.parse("sip:alice@example.com"), Event("presence"))
        notified: asyncio.Queue[Request] = asyncio.Queue()
        subscription = Subscription(other, request, spoiled if which == "on_notify" else notified.put_nowait)
        if which == "accept":
            with pytest.raises(Exception, match="500"):
                await subscription.start()
        else:
            await subscription.start()
            if which == "on_subscribe":
                assert "terminated" in ((await notified.get()).headers.get("Subscription-State") or "")
            else:
                assert await soon(logged) == 1
                return
        assert logged() == 1
    finally:
        await other.close()
        await agent.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Registrar(RegistrarSettings(frozenset(("x",))), may_register=broken_later),
        lambda: DigestServer("x", broken_later, clock=lambda: 0.0),  # type: ignore[arg-type]
    ],
)
def test_a_coroutine_is_no_yes(make):
    """Where the answer is needed at once a coroutine would count as true: it is refused in words."""
    with pytest.raises(ValueError, match="cannot be a coroutine function"):
        make()
