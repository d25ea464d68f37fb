"""The user agent on real sockets: requests, calls, bad input, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from sip import (
    CallCancelledError,
    Credentials,
    DigestClient,
    DigestError,
    DigestServer,
    Headers,
    LocationService,
    MemoryLocationStore,
    NameAddr,
    RegistrarSettings,
    Request,
    RequestFailedError,
    SipUri,
    Timers,
    TransactionTimeoutError,
    Verdict,
    parse_message,
)
from sip.user_agent.registration import Registration
from sip.user_agent.user_agent import UserAgent

pytestmark = pytest.mark.every_loop

FAST = Timers(t1=0.02, t2=0.1, t4=0.05, completed_invite=0.2)
SDP = b"v=0\r\n"


@contextlib.asynccontextmanager
async def agents(*, transport="udp", callee=None, caller=None):
    one = UserAgent(timers=FAST, **(caller or {}))
    two = UserAgent(timers=FAST, **(callee or {}))
    await one.listen(transport, "127.0.0.1")
    address = await two.listen(transport, "127.0.0.1")
    try:
        yield one, two, SipUri.parse(f"sip:bob@127.0.0.1:{address.port};transport={transport}")
    finally:
        await one.close()
        await two.close()
        for agent in (one, two):
            assert agent.active_dialogs == 0
            assert agent.active_transactions == 0
            assert agent.connections == 0
        leftover = asyncio.all_tasks() - {asyncio.current_task()}
        assert not leftover


def make(agent, method, uri, *, body=b""):
    request = Request(method, uri, body=body)
    request.headers.add("Max-Forwards", "70")
    request.headers.add("From", f"<sip:alice@127.0.0.1>;tag={random.getrandbits(32):x}")
    request.headers.add("To", str(NameAddr(SipUri("sip", "127.0.0.1", "bob"))))
    request.headers.add("Call-ID", f"{random.getrandbits(64):x}")
    request.headers.add("CSeq", f"1 {method}")
    if method == "INVITE":
        request.headers.add("Contact", str(agent.contact(uri.transport or "udp", "alice")))
        request.headers.add("Content-Type", "application/sdp")
    return request


def accept(invites):
    def on_invite(invite):
        invite.ring()
        invites.append(invite.accept(SDP))

    return on_invite


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_options_is_answered(transport):
    async with agents(transport=transport) as (one, _, uri):
        response = await one.request(make(one, "OPTIONS", uri))
        assert response.status == 200
        assert "INVITE" in response.headers.get("Allow")
        assert response.to.tag


@pytest.mark.parametrize(("method", "status"), [("MESSAGE", 405), ("REGISTER", 405), ("FOO", 501), ("BYE", 481)])
async def test_methods_that_are_not_served(method, status):
    async with agents() as (one, _, uri):
        assert (await one.request(make(one, method, uri))).status == status


async def test_in_dialog_request_without_a_dialog_is_481():
    async with agents() as (one, _, uri):
        for method in ("OPTIONS", "INVITE", "BYE"):
            request = make(one, method, uri)
            request.headers.set("To", "<sip:bob@127.0.0.1>;tag=unknown")
            if method == "INVITE":
                with pytest.raises(RequestFailedError) as error:
                    await one.invite(request).run()
                assert error.value.status == 481
            else:
                assert (await one.request(request)).status == 481


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("ends", ["caller", "callee"])
async def test_a_call_from_both_ends(transport, ends):
    accepted = []
    async with agents(transport=transport, callee={"on_invite": accept(accepted)}) as (one, two, uri):
        seen = []
        invite = one.invite(make(one, "INVITE", uri, body=SDP))
        invite.on_progress = lambda response: seen.append(response.status)
        dialog = await invite.run()
        assert 180 in seen
        assert invite.response.body == SDP
        await asyncio.sleep(0.1)
        assert one.active_dialogs == two.active_dialogs == 1
        await (dialog if ends == "caller" else accepted[0]).bye()
        other = accepted[0] if ends == "caller" else dialog
        assert await other.ended == "remote"
        assert one.active_dialogs == two.active_dialogs == 0


async def test_call_with_digest_and_without_credentials():
    def server():
        return DigestServer.with_passwords("r", {"alice": "pw"}, clock=asyncio.get_running_loop().time)

    accepted = []
    credentials = (Credentials("r", "alice", "pw", destinations=("127.0.0.1",)),)
    callee = {"on_invite": accept(accepted), "authenticator": server()}
    async with agents(callee=callee, caller={"digest": DigestClient(credentials)}) as (one, _, uri):
        invite = one.invite(make(one, "INVITE", uri, body=SDP))
        dialog = await invite.run()
        assert invite.digest_algorithm == "SHA-256"
        await dialog.bye()
    async with agents(callee={"on_invite": accept(accepted), "authenticator": server()}) as (one, _, uri):
        with pytest.raises(RequestFailedError) as error:
            await one.invite(make(one, "INVITE", uri, body=SDP)).run()
        assert error.value.status == 401


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "MESSAGE", "SUBSCRIBE", "BYE", "REGISTER"])
async def test_digest_is_asked_of_every_method(method):
    """Not of INVITE and REGISTER only (CVE-2021-37624)."""
    server = DigestServer.with_passwords("r", {"alice": "pw"}, clock=asyncio.get_running_loop().time)
    served = []
    callee = {
        "on_invite": served.append,
        "on_request": served.append,
        "extra_methods": frozenset(("MESSAGE", "SUBSCRIBE", "REGISTER")),
        "authenticator": server,
    }
    async with agents(callee=callee) as (one, _, uri):
        request = make(one, method, uri)
        if method == "INVITE":
            with pytest.raises(RequestFailedError) as error:
                await one.invite(request).run()
            assert error.value.status == 401
        else:
            assert (await one.request(request)).status == 401
    assert served == []


@pytest.mark.parametrize("caller", ["<tel:+12015550123>", "<http://example.com/a>", "<urn:service:sos>", "sip:x"])
async def test_a_caller_without_sip_uri_is_a_caller(caller):
    """A From of any scheme is legal, and must not be taken for a SIP URI (CVE-2021-33056)."""
    accepted = []
    async with agents(callee={"on_invite": accept(accepted)}) as (one, _, uri):
        request = make(one, "INVITE", uri, body=SDP)
        request.headers.set("From", f"{caller};tag=1")
        dialog = await one.invite(request).run()
        await asyncio.sleep(0.05)
        await accepted[0].bye()
        assert await dialog.ended == "remote"


async def test_cancel_while_it_rings():
    ringing = []

    def on_invite(invite):
        invite.ring()
        ringing.append(invite)

    async with agents(callee={"on_invite": on_invite}) as (one, _, uri):
        invite = one.invite(make(one, "INVITE", uri, body=SDP))
        invite.on_progress = lambda _: invite.cancel()
        with pytest.raises(CallCancelledError):
            await invite.run()
        await ringing[0].cancelled
        assert not ringing[0].pending
        with pytest.raises(CallCancelledError):
            ringing[0].accept(SDP)


async def test_answer_crossing_the_cancel_is_ended():
    accepted = []

    def on_invite(invite):
        invite.ring()
        asyncio.get_running_loop().call_soon(lambda: accepted.append(invite.accept(SDP)))

    async with agents(callee={"on_invite": on_invite}) as (one, two, uri):
        invite = one.invite(make(one, "INVITE", uri, body=SDP))
        run = asyncio.ensure_future(invite.run())
        async with asyncio.timeout(2):
            while not accepted:  # noqa: ASYNC110  # every turn of the loop counts here
                await asyncio.sleep(0)
        invite.cancel()
        with pytest.raises(CallCancelledError):
            await run
        assert await asyncio.wait_for(accepted[0].ended, 2) == "remote"
        assert one.active_dialogs == two.active_dialogs == 0


async def test_nobody_answers():
    async with agents() as (one, two, uri):
        await two.close()
        with pytest.raises(TransactionTimeoutError):
            await one.request(make(one, "OPTIONS", uri))
        with pytest.raises(TransactionTimeoutError):
            await one.invite(make(one, "INVITE", uri, body=SDP)).run()


async def test_missing_ack_ends_the_call():
    accepted = []
    async with agents(callee={"on_invite": accept(accepted)}) as (one, two, uri):
        one.send_ack = lambda *_: None
        dialog = await one.invite(make(one, "INVITE", uri, body=SDP)).run()
        assert await asyncio.wait_for(dialog.ended, 5) == "remote"  # 64*T1 without an ACK: the callee says BYE
        assert two.active_dialogs == 0


async def test_reinvite_goes_to_its_handler():
    accepted = []
    async with agents(callee={"on_invite": accept(accepted)}) as (one, _, uri):
        dialog = await one.invite(make(one, "INVITE", uri, body=SDP)).run()
        await asyncio.sleep(0.05)
        for handler, status in ((None, 488), (lambda request: (200, b"v=1\r\n"), 200)):
            accepted[0].on_reinvite = handler
            again = dialog.dialog.create_request("INVITE")
            again.headers.add("Contact", str(one.contact("udp", "alice")))
            answered = asyncio.get_running_loop().create_future()
            exchange = one.start_request(
                again,
                dialog.flow,
                lambda r, f=answered: r.provisional or f.done() or f.set_result(r),
                lambda _: None,
            )
            response = await answered
            assert response.status == status
            if response.success:
                one.send_ack(dialog.dialog.create_request("ACK", cseq=again.cseq.number), exchange.flow)
        await dialog.bye()


async def test_old_cseq_in_a_dialog_is_500():
    accepted = []
    async with agents(callee={"on_invite": accept(accepted)}) as (one, _, uri):
        dialog = await one.invite(make(one, "INVITE", uri, body=SDP)).run()
        old = dialog.dialog.create_request("OPTIONS", cseq=1)
        assert (await one.request(old, flow=dialog.flow)).status == 500
        await dialog.bye()


async def test_register_refresh_and_remove():
    seen = []

    def registrar(request):
        expires = request.expires
        seen.append((expires, request.call_id, request.cseq.number))
        if expires and expires < 60:
            response = request.create_response(423)
            response.headers.add("Min-Expires", "60")
            return response
        response = request.create_response(200)
        contact = request.contacts[0]
        response.headers.add("Contact", f"{contact};expires={expires}")
        return response

    callee = {"on_request": registrar, "extra_methods": frozenset(("REGISTER",))}
    async with agents(callee=callee) as (one, _, uri):
        aor = SipUri.parse(f"sip:alice@127.0.0.1:{uri.port}")
        registration = Registration(one, aor, one.contact("udp", "alice"), expires=10)
        assert await registration.register() == 60
        assert registration.active
        await registration.unregister()
        assert [expires for expires, _, _ in seen] == [10, 60, 0]
        assert len({call_id for _, call_id, _ in seen}) == 1
        assert [number for _, _, number in seen] == [1, 2, 3]


async def registrar_of(users, **more):
    store = MemoryLocationStore()
    service = await LocationService.create(store, RegistrarSettings(frozenset(("127.0.0.1",)), min_expires=30))
    clock = asyncio.get_running_loop().time
    return store, {"registrar": service, "authenticator": DigestServer.with_passwords("r", users, clock=clock, **more)}


def credentials(password="pw", **more):
    return (Credentials("r", "alice", password, destinations=("127.0.0.1",)),)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_registering_at_our_own_registrar(transport):
    """With Digest, 423 met, the server's proof required, and the binding gone in the end."""
    store, callee = await registrar_of({"alice": "pw"}, userhash=True)
    caller = {"digest": DigestClient(credentials(), require_proof=True)}
    async with agents(transport=transport, callee=callee, caller=caller) as (one, _, uri):
        aor = SipUri.parse(f"sip:alice@127.0.0.1:{uri.port};transport={transport}")
        registration = Registration(one, aor, one.contact(transport, "alice"), expires=10)
        assert await registration.register() == 30
        assert registration.digest_algorithm == "SHA-256"
        [binding] = (await store.load("alice@127.0.0.1")).bindings
        assert binding.flow.startswith(f"{transport}:127.0.0.1:")
        await registration.unregister()
        assert (await store.load("alice@127.0.0.1")).bindings == ()


async def test_registering_for_somebody_else_or_without_proof():
    _, callee = await registrar_of({"alice": "pw"})
    async with agents(callee=callee, caller={"digest": DigestClient(credentials())}) as (one, _, uri):
        aor = SipUri.parse(f"sip:bob@127.0.0.1:{uri.port}")
        with pytest.raises(RequestFailedError) as error:
            await Registration(one, aor, one.contact("udp", "bob")).register()
        assert error.value.status == 403
    del callee["authenticator"]
    async with agents(callee=callee) as (one, _, uri):
        aor = SipUri.parse(f"sip:alice@127.0.0.1:{uri.port}")
        with pytest.raises(RequestFailedError) as error:
            await Registration(one, aor, one.contact("udp", "alice")).register()
        assert error.value.status == 403


async def test_guessing_over_the_wire_is_slowed_down():
    _, callee = await registrar_of({"alice": "pw"})
    async with agents(callee=callee) as (one, _, uri):
        aor = SipUri.parse(f"sip:alice@127.0.0.1:{uri.port}")
        for _ in range(5):
            one.digest = DigestClient(credentials("guess"))
            with pytest.raises(DigestError):
                await Registration(one, aor, one.contact("udp", "alice")).register()
        one.digest = DigestClient(credentials())
        with pytest.raises(RequestFailedError) as error:
            await Registration(one, aor, one.contact("udp", "alice")).register()
        assert error.value.status == 403
        assert 0 < int(error.value.response.headers.get("Retry-After")) <= 10


async def test_call_to_an_impostor_ends():
    """A callee that cannot prove the password, which it asked for, loses the call that it took."""
    accepted = []
    clock = asyncio.get_running_loop().time
    authenticator = DigestServer.with_passwords("r", {"alice": "pw"}, clock=clock)
    authenticator.confirm = lambda response, _: response.headers.set("Authentication-Info", 'rspauth="00"')
    callee = {"on_invite": accept(accepted), "authenticator": authenticator}
    async with agents(callee=callee, caller={"digest": DigestClient(credentials())}) as (one, _, uri):
        with pytest.raises(DigestError, match="proof"):
            await one.invite(make(one, "INVITE", uri, body=SDP)).run()
        assert await asyncio.wait_for(accepted[0].ended, 5) == "remote"


@pytest.mark.parametrize(("destination", "answered"), [("proxy.example.com", False), ("127.0.0.1", True)])
async def test_challenge_of_our_bye_in_a_call_received(destination, answered):
    """The SIP digest leak over the wire: who called us names our own realm when we hang up. Only the proxy that the
    credentials are for, which recorded its route, gets an answer."""
    accepted, seen = [], []
    authenticator = DigestServer.with_passwords("r", {"alice": "pw"}, clock=asyncio.get_running_loop().time, proxy=True)

    class Challenging(UserAgent):
        def _process(self, exchange, request):
            if request.method == "PRACK":  # of its own call: it follows the route that it recorded itself
                return
            found = authenticator.check(request)
            seen.append((request.method, found.verdict))
            accepting = found.verdict is Verdict.ACCEPTED
            self.respond(exchange, request.create_response(200) if accepting else authenticator.refuse(request, found))

    own_domain = (Credentials("r", "alice", "pw", destinations=(destination,)),)
    callee = {"on_invite": accept(accepted), "digest": DigestClient(own_domain)}
    async with agents(callee=callee) as (_, two, uri):
        caller = Challenging(timers=FAST)
        address = await caller.listen("udp", "127.0.0.1")
        try:
            invite = make(caller, "INVITE", uri, body=SDP)
            invite.headers.add("Record-Route", f"<sip:127.0.0.1:{address.port};lr>")
            await caller.invite(invite).run()
            await accepted[0].bye()
            wanted = [("BYE", Verdict.MISSING), ("BYE", Verdict.ACCEPTED)]
            assert seen == wanted[: 2 if answered else 1]
            assert two.active_dialogs == 0
        finally:
            await caller.close()


class Socket(asyncio.DatagramProtocol):
    def __init__(self):
        self.got = []

    def datagram_received(self, data, addr):
        self.got.append(data)


@contextlib.asynccontextmanager
async def raw_udp():
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(Socket, local_addr=("127.0.0.1", 0))
    try:
        yield transport, protocol
    finally:
        transport.close()


def corpus(shared_vectors):
    paths = sorted((shared_vectors / "rfc4475").iterdir()) + sorted((shared_vectors / "rfc5118").iterdir())
    return [path.read_bytes() for path in paths]


async def test_torture_messages_leave_it_running_over_udp(shared_vectors):
    """Every message of RFC 4475 and 5118, whole and cut, then garbage; the endpoint answers as before."""
    accepted = []
    rng = random.Random(4475)
    async with agents(callee={"on_invite": lambda invite: accepted.append(invite.reject(486))}) as (one, two, uri):
        async with raw_udp() as (socket, heard):
            for data in corpus(shared_vectors):
                for shown in (data, data[: len(data) // 2], data.replace(b"\r\n", b"\n"), rng.randbytes(200)):
                    # rport brings the answers back to us, whatever host the message names.
                    via = shown.replace(b"branch=", b"rport;branch=")
                    socket.sendto(via, ("127.0.0.1", uri.port))
                await asyncio.sleep(0)
            await asyncio.sleep(0.3)
            assert (await one.request(make(one, "OPTIONS", uri))).status == 200
            statuses = {int(data.split(b" ")[1]) for data in heard.got if data.startswith(b"SIP/2.0")}
            assert {200, 400, 416, 420, 501, 505} <= statuses
        await asyncio.sleep(2.5)  # 64*T1 and the lingering of what the messages started
        assert two.active_dialogs == 0


async def test_torture_messages_leave_it_running_over_tcp(shared_vectors):
    async with agents(transport="tcp", callee={"on_invite": lambda invite: invite.reject(486)}) as (one, two, uri):
        for data in corpus(shared_vectors):
            reader, writer = await asyncio.open_connection("127.0.0.1", uri.port)
            writer.write(data)
            writer.write_eof()
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(0.05):
                    await reader.read(65536)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        assert (await one.request(make(one, "OPTIONS", uri))).status == 200
        await asyncio.sleep(0.1)
        assert two.connections == 1


async def test_responses_and_acks_of_strangers_are_dropped():
    async with agents() as (one, _, uri):
        async with raw_udp() as (socket, heard):
            request = make(one, "ACK", uri)
            request.headers.prepend("Via", "SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx;rport")
            socket.sendto(request.serialize(), ("127.0.0.1", uri.port))
            socket.sendto(request.create_response(200).serialize(), ("127.0.0.1", uri.port))
            await asyncio.sleep(0.1)
            assert heard.got == []
        assert (await one.request(make(one, "OPTIONS", uri))).status == 200


async def test_merged_request_is_482():
    async with agents(callee={"on_invite": lambda invite: invite.ring()}) as (one, _, uri):
        async with raw_udp() as (socket, heard):
            request = make(one, "INVITE", uri, body=SDP)
            for branch in ("z9hG4bKa", "z9hG4bKb"):
                copy = Request("INVITE", uri, Headers(request.headers.items()), SDP)
                copy.headers.prepend("Via", f"SIP/2.0/UDP 127.0.0.1:9;branch={branch};rport")
                socket.sendto(copy.serialize(), ("127.0.0.1", uri.port))
                await asyncio.sleep(0.05)
            assert [parse_message(data).status for data in heard.got[:2]] == [180, 482]


async def test_the_same_request_is_no_merged_one_when_its_transaction_is_over():
    async with agents(transport="tcp") as (one, two, uri):
        request = make(one, "OPTIONS", uri)
        for _ in range(2):
            assert (await one.request(request)).status == 200
            await asyncio.sleep(0.05)
            assert two.active_transactions == 0
            request.headers.remove_first("Via")


async def test_empty_call_id_does_not_stand_in_the_way_of_others():
    """Found by fuzzing: its transaction made every request after it fail the comparison of merged requests."""
    async with agents() as (one, two, uri), raw_udp() as (socket, heard):
        request = make(one, "OPTIONS", uri)
        request.headers.set("Call-ID", "")
        request.headers.prepend("Via", "SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKa;rport")
        socket.sendto(request.serialize(), ("127.0.0.1", uri.port))
        await asyncio.sleep(0.05)
        assert heard.got[0].startswith(b"SIP/2.0 400 ")
        assert two.active_transactions == 0
        assert (await one.request(make(one, "OPTIONS", uri))).status == 200


@pytest.mark.parametrize("every", [2, 3])
async def test_calls_survive_a_lossy_network(every):
    """Every n-th message is lost in each direction; calls are still set up and torn down, and nothing leaks."""
    accepted = []
    async with agents(callee={"on_invite": accept(accepted)}) as (one, two, uri):
        counter = 0

        for agent in (one, two):
            listener = agent._transports._udp[0]
            original = listener.send

            def lossy(data, remote, original=original):
                nonlocal counter
                counter += 1
                if counter % every:
                    original(data, remote)

            listener.send = lossy
        finished = 0
        for _ in range(5):
            with contextlib.suppress(TransactionTimeoutError):
                dialog = await one.invite(make(one, "INVITE", uri, body=SDP)).run()
                await dialog.bye()
                finished += 1
        assert finished >= 3
        await asyncio.sleep(3)
        assert one.active_dialogs == two.active_dialogs == 0
        assert one.active_transactions == two.active_transactions == 0
