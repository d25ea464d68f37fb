"""Callers, proxies and callees on a virtual network, and what comes of their calls."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from virtual_network import Network

from sip import Request, SipError, SipUri, TransportError
from sip.discovery.target import Target, target_of
from sip.message.message import new_call_id, new_tag
from sip.proxy.events import ProxyTarget
from sip.proxy.server import Listener, ProxyServer
from sip.user_agent.invite import IncomingInvite
from sip.user_agent.invite_dialog import InviteDialog
from sip.user_agent.user_agent import UserAgent

ALICE, BOB, NEAR, FAR = "10.0.0.1", "10.0.0.2", "10.0.0.11", "10.0.0.12"
SHAPES = ("endpoints", "proxy", "triangle")
SDP = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nt=0 0\r\n"
# After that Alice gives a call up, as endpoints do.
ANSWER_TIMEOUT = 180.0
# Longer than every timer there is, timer C of 200 s among them.
SETTLED = 700.0


class Directory:
    """Where users and domains are: `users` of our domain, `servers` of others; a lookup may take `delay` seconds."""

    def __init__(self) -> None:
        self.users: dict[str, tuple[ProxyTarget, ...]] = {}
        self.servers: dict[str, tuple[Target, ...]] = {}
        self.delay = 0.0
        self.silent = False

    async def targets(self, request_uri: SipUri, request: Request) -> Any:
        return self.users.get(request_uri.user or "")

    async def resolve(self, uri: SipUri) -> Any:
        await asyncio.sleep(self.delay)
        if self.silent:
            raise TransportError("DNS did not answer in time", target=uri.host)
        return self.servers.get(uri.host) or (target_of(uri),)


@dataclass
class Stage:
    """Alice calls Bob; `answer_after` is how long he lets it ring, None: he never answers."""

    network: Network
    transport: str
    alice: UserAgent
    bob: UserAgent
    uri: SipUri
    proxies: list[ProxyServer] = field(default_factory=list)
    directories: list[Directory] = field(default_factory=list)
    answered: list[InviteDialog] = field(default_factory=list)
    answer_after: float | None = 0.5

    def request(self, method: str) -> Request:
        """A request of Alice's to Bob."""
        request = Request(method, self.uri)
        request.headers.add("Max-Forwards", "70")
        request.headers.add("From", f"<sip:alice@local.edu>;tag={new_tag()}")
        request.headers.add("To", f"<sip:bob@{self.uri.host}>")
        request.headers.add("Call-ID", new_call_id())
        request.headers.add("CSeq", f"1 {method}")
        if method == "INVITE":
            request.headers.add("Contact", str(self.alice.contact(self.transport, "alice")))
            request.headers.add("Content-Type", "application/sdp")
            request.body = SDP
        return request

    def ring(self, invite: IncomingInvite) -> None:
        """What Bob does with a call."""
        invite.ring()
        if self.answer_after is not None:
            asyncio.get_running_loop().call_later(self.answer_after, self._accept, invite)

    def _accept(self, invite: IncomingInvite) -> None:
        with contextlib.suppress(SipError):
            self.answered.append(invite.accept(SDP))

    async def call(self, *, talk: float = 3.0, hung_up_by: str = "alice") -> str | int:
        """One call: "finished", the status it was refused with, or the name of the error."""
        invite = self.alice.invite(self.request("INVITE"))
        patience = asyncio.get_running_loop().call_later(ANSWER_TIMEOUT, invite.cancel)
        try:
            dialog = await invite.run()
        except SipError as error:
            response = getattr(error, "response", None)
            return type(error).__name__ if response is None else int(response.status)
        finally:
            patience.cancel()
        await asyncio.sleep(talk)
        if hung_up_by == "alice":
            await dialog.bye()
        else:
            theirs = next(one for one in self.answered if one.dialog.call_id == dialog.dialog.call_id)
            await theirs.bye()
        return "finished"

    def counts(self) -> dict[str, int]:
        """All that is going on, by name; what is 0 is left out."""
        found = {
            "alice's transactions": self.alice.active_transactions,
            "bob's transactions": self.bob.active_transactions,
            "alice's dialogs": self.alice.active_dialogs,
            "bob's dialogs": self.bob.active_dialogs,
        }
        for number, server in enumerate(self.proxies):
            found[f"proxy {number}: transactions"] = server.proxy.active_transactions
            found[f"proxy {number}: contexts"] = server.proxy.active_contexts
            found[f"proxy {number}: questions"] = server.questions
            found[f"proxy {number}: admitted"] = server.proxy.admission.total
            found[f"proxy {number}: sources"] = server.proxy.admission.sources
        return {name: count for name, count in found.items() if count}

    async def settle(self) -> None:
        """Lets every timer run out on a network without faults, and checks that nothing is left."""
        self.network.faults.loss = self.network.faults.duplication = self.network.faults.jitter = 0.0
        self.network.drops = None
        await asyncio.sleep(SETTLED)
        left = self.counts()
        assert left == {}, left
        assert all(server.proxy.next_timer() is None for server in self.proxies)


@contextlib.asynccontextmanager
async def stage(network: Network, shape: str, transport: str = "udp") -> AsyncIterator[Stage]:
    """Sets it up: two endpoints, with one proxy between them or two; afterwards all is counted."""
    async with contextlib.AsyncExitStack() as stack:
        directories = [Directory(), Directory()]
        proxies: list[ProxyServer] = []
        hosts = {"endpoints": (), "proxy": (NEAR,), "triangle": (NEAR, FAR)}[shape]
        domains = ("remote.edu",) if shape == "proxy" else ("local.edu", "remote.edu")
        for host, domain, directory in zip(hosts, domains, directories, strict=False):
            server = ProxyServer(
                (Listener(transport, host, 5060),),
                domains=frozenset((domain,)),
                location=directory,
                resolver=directory,
            )
            await stack.enter_async_context(server)
            proxies.append(server)
        route = SipUri.parse(f"sip:{NEAR}:5060;transport={transport};lr") if proxies else None
        made: list[Stage] = []
        alice = UserAgent(outbound_proxy=route)
        bob = UserAgent(on_invite=lambda invite: made[0].ring(invite))
        for agent, host in ((alice, ALICE), (bob, BOB)):
            stack.push_async_callback(agent.close)
            await agent.listen(transport, host, 5060)
        contact = bob.contact(transport, "bob").sip_uri
        directories[len(proxies) - 1].users["bob"] = (ProxyTarget(contact),)
        directories[0].servers["remote.edu"] = (Target(transport, FAR, 5060, "remote.edu"),)
        uri = contact if shape == "endpoints" else SipUri.parse("sip:bob@remote.edu")
        made.append(Stage(network, transport, alice, bob, uri, proxies, directories))
        yield made[0]
        await made[0].settle()
    assert alice.connections == bob.connections == 0
    assert all(server.connections == 0 for server in proxies)
