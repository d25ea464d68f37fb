"""What calls can do besides audio: INFO, transfers, MESSAGE, session timers, between endpoints on loopback."""

from __future__ import annotations

import asyncio

import pytest

from securertc import CallEndedError, CallRefusedError, Endpoint, EndpointSettings, Info, TextMessage
from sip import Request, SipUri
from sip.dialog.session_timer import SessionTimerPolicy


async def test_info_both_ways(pair, nothing_left):
    async with pair() as ends:
        ours, theirs = await ends.establish()
        heard = []
        theirs.on_info = heard.append
        await ours.send_info(b"Signal=5", "application/dtmf-relay")
        with pytest.raises(CallRefusedError) as refused:
            await ours.send_info(b"{}", "application/json", package="Beat")
        assert refused.value.status == 469
        theirs.info_packages = frozenset(("beat",))
        await ours.send_info(b"{}", "application/json", package="Beat")
        assert heard == [
            Info(b"Signal=5", "application/dtmf-relay", None),
            Info(b"{}", "application/json", "Beat"),
        ]
        with pytest.raises(CallRefusedError) as refused:
            await theirs.send_info(b"x", "text/plain")
        assert refused.value.status == 415
        await ours.hangup()
        with pytest.raises(CallEndedError):
            await ours.send_info(b"", "text/plain")


async def test_a_message_and_who_takes_none(pair, nothing_left):
    heard: asyncio.Queue[TextMessage] = asyncio.Queue()
    async with pair() as ends:
        with pytest.raises(CallRefusedError) as refused:
            await ends.caller.send_message(ends.uri, "nobody listens")
        assert refused.value.status == 405
        settings = EndpointSettings("sip:carol@remote.example")
        async with Endpoint(settings, on_message=heard.put_nowait) as carol:
            address = await carol.listen("udp")
            await ends.caller.listen("udp")
            await ends.caller.send_message(f"sip:carol@127.0.0.1:{address.port}", "Grüße")
            message = heard.get_nowait()
    assert message == TextMessage("sip:alice@local.example", "Grüße".encode(), "text/plain")


class Third:
    """Somebody to be transferred to."""

    def __init__(self, tls_files, **settings):
        self.calls: asyncio.Queue = asyncio.Queue()
        self.tasks = []
        self.answers = True
        self.endpoint = Endpoint(
            EndpointSettings("sip:carol@remote.example", tls=tls_files, **settings), on_call=self.on_call
        )

    def on_call(self, call):
        self.tasks.append(asyncio.ensure_future(self.answer(call)))

    async def answer(self, call):
        if self.answers:
            self.calls.put_nowait((call, await call.answer()))
        else:
            call.reject(486)

    async def __aenter__(self):
        address = await self.endpoint.listen("tls")
        self.uri = f"sips:carol@127.0.0.1:{address.port}"
        return self

    async def __aexit__(self, *_):
        await asyncio.gather(*self.tasks)
        await self.endpoint.close()


def accepting(call):
    """Lets a call's transfers happen; the queue gets the new calls, or what went wrong."""
    outcomes: asyncio.Queue = asyncio.Queue()

    def on_transfer(transfer):
        async def accept():
            try:
                outcomes.put_nowait(await transfer.accept())
            except Exception as error:
                outcomes.put_nowait(error)

        outcomes.task = asyncio.ensure_future(accept())

    call.on_transfer = on_transfer
    return outcomes


async def test_a_blind_transfer(pair, nothing_left, tls_files):
    async with pair() as ends, Third(tls_files) as third:
        ours, theirs = await ends.establish()
        outcomes = accepting(theirs)
        await ours.transfer(third.uri)
        new = await asyncio.wait_for(outcomes.get(), 5)
        incoming, answered = third.calls.get_nowait()
        assert incoming.replaces is None
        assert not ours.active
        assert await asyncio.wait_for(theirs.wait_ended(), 5) == "remote"
        assert new.active
        assert answered.active
        assert new.agreed.secured
        await new.hangup()


async def test_a_transfer_needs_somebody_who_wants_it(pair, nothing_left, tls_files):
    async with pair() as ends, Third(tls_files) as third:
        ours, theirs = await ends.establish()
        with pytest.raises(CallRefusedError) as refused:
            await ours.transfer(third.uri)
        assert refused.value.status == 603
        theirs.on_transfer = lambda transfer: asyncio.ensure_future(transfer.reject())
        with pytest.raises(CallRefusedError) as refused:
            await ours.transfer(third.uri)
        assert refused.value.status == 603
        assert ours.active
        assert theirs.active


async def test_a_transfer_to_somebody_busy_leaves_the_call(pair, nothing_left, tls_files):
    async with pair() as ends, Third(tls_files) as third:
        third.answers = False
        ours, theirs = await ends.establish()
        outcomes = accepting(theirs)
        with pytest.raises(CallRefusedError) as refused:
            await ours.transfer(third.uri)
        assert refused.value.status == 486
        assert isinstance(await outcomes.get(), CallRefusedError)
        assert ours.active
        assert theirs.active


@pytest.mark.parametrize("accepts", [True, False])
async def test_an_attended_transfer(pair, nothing_left, tls_files, accepts):
    async with pair() as ends, Third(tls_files, accept_replaces=accepts) as third:
        ours, theirs = await ends.establish()
        consultation = await ends.caller.call(third.uri)
        _, theirs_of_consultation = await asyncio.wait_for(third.calls.get(), 5)
        outcomes = accepting(theirs)
        if not accepts:
            with pytest.raises(CallRefusedError) as refused:
                await ours.transfer(consultation)
            assert refused.value.status == 403
            assert ours.active
            assert consultation.active
            assert theirs_of_consultation.active
            await outcomes.task
            return
        await ours.transfer(consultation)
        new = await asyncio.wait_for(outcomes.get(), 5)
        incoming, answered = await asyncio.wait_for(third.calls.get(), 5)
        assert incoming.replaces is theirs_of_consultation
        assert not any(call.active for call in (ours, consultation, theirs_of_consultation))
        assert new.active
        assert answered.active
        await new.hangup()


@pytest.mark.parametrize(
    ("replaces", "status"),
    [
        (["nobody;to-tag=1;from-tag=2"], 481),
        (["a;to-tag=1;from-tag=2", "b;to-tag=1;from-tag=2"], 400),
        (["a;to-tag=1"], 400),
        (["{id};to-tag={local};from-tag={remote};early-only"], 486),
    ],
)
async def test_what_cannot_be_replaced(pair, nothing_left, replaces, status):
    async with pair(callee={"accept_replaces": True}) as ends:
        ours, theirs = await ends.establish()
        call_id, local, remote = theirs._dialog.dialog.id
        before = ends.caller._request

        def with_replaces(method: str, target: SipUri) -> Request:
            request = before(method, target)
            for value in replaces:
                request.headers.add("Replaces", value.format(id=call_id, local=local, remote=remote))
            return request

        ends.caller._request = with_replaces
        with pytest.raises(CallRefusedError) as refused:
            await ends.caller.call(ends.uri)
        assert refused.value.status == status
        assert ours.active
        assert theirs.active


async def test_a_notify_for_no_transfer_is_481_and_the_call_goes_on(pair, nothing_left):
    async with pair() as ends:
        ours, theirs = await ends.establish()
        notify = theirs._dialog.create_request("NOTIFY")
        notify.headers.add("Event", "refer")
        notify.headers.add("Subscription-State", "active")
        assert (await theirs._endpoint.user_agent.request(notify)).status == 481
        assert ours.active


@pytest.mark.parametrize("update", [True, False])
@pytest.mark.parametrize("refresher", ["caller", "callee"])
async def test_a_session_is_refreshed_in_time(pair, nothing_left, monkeypatch, update, refresher):
    """The intervals of RFC 4028 are 90 s at the least; here a second is a hundredth of one."""
    monkeypatch.setattr("sip.dialog.session_timer.SessionTimer.due", property(lambda self: self.interval / 200))
    monkeypatch.setattr("sip.dialog.session_timer.SessionTimer.expiry", property(lambda self: self.interval / 100))
    async with pair() as ends:
        for side in (ends.caller, ends.callee):
            side.user_agent.session_timers = SessionTimerPolicy(90)
        ours, theirs = await ends.establish()
        seen = []
        for one in (ours, theirs):
            if not update:
                one._dialog.peer_methods = frozenset()
                one._dialog.heard = lambda _: None
            receive = one._dialog.receive
            one._dialog.receive = lambda exchange, request, receive=receive: (
                seen.append((request.method, request.headers.get("Session-Expires"))),
                receive(exchange, request),
            )
        if refresher == "callee":
            await theirs.renew()  # who asks without naming another one refreshes
            seen.clear()
        await asyncio.sleep(1.6)
        assert ours.active
        assert theirs.active
        assert len(seen) >= 3
        assert {method for method, _ in seen} == {"UPDATE" if update else "INVITE"}
        assert all(value.startswith("90;refresher=") for _, value in seen)
        await ours.hangup()


async def test_a_session_that_nobody_refreshes_ends(pair, nothing_left, monkeypatch):
    monkeypatch.setattr("sip.dialog.session_timer.SessionTimer.due", property(lambda self: 100.0))
    monkeypatch.setattr("sip.dialog.session_timer.SessionTimer.expiry", property(lambda self: self.interval / 300))
    async with pair() as ends:
        for side in (ends.caller, ends.callee):
            side.user_agent.session_timers = SessionTimerPolicy(90)
        ours, theirs = await ends.establish()
        await asyncio.wait_for(asyncio.gather(ours.wait_ended(), theirs.wait_ended()), 5)


async def test_a_callee_with_a_longer_minimum_is_asked_again(pair, nothing_left):
    async with pair() as ends:
        ends.caller.user_agent.session_timers = SessionTimerPolicy(90)
        ends.callee.user_agent.session_timers = SessionTimerPolicy(1200, 600)
        ours, theirs = await ends.establish()
        assert ours._dialog.session.timer.interval == theirs._dialog.session.timer.interval == 600
        assert ours._dialog.session.timer.refreshing != theirs._dialog.session.timer.refreshing
        await ours.hangup()


async def test_no_timer_where_one_side_has_none(pair, nothing_left):
    async with pair() as ends:
        ends.callee.user_agent.session_timers = None
        ours, theirs = await ends.establish()
        assert ours._dialog.session.timer is theirs._dialog.session.timer is None
        await ours.hangup()


async def test_update_changes_the_session_and_meets_glare(pair, nothing_left, melody):
    async with pair() as ends:
        ours, theirs = await ends.establish()
        response = await ours._dialog.update(ours._negotiation.create_offer().encode())
        assert response.status == 200
        ours._media.start(ours._negotiation.receive_answer(response.body))
        theirs._dialog._offer_pending = True
        update = ours._dialog.create_request("UPDATE")
        update.headers.add("Content-Type", "application/sdp")
        update.body = ours._negotiation.create_offer().encode()
        assert (await ends.caller.user_agent.request(update)).status == 491
        theirs._dialog._offer_pending = False
        assert ours.active
        await ours.hangup()
