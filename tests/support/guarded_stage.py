"""A stage whose proxy does not relay: alice and bob are its users, everybody else is a stranger."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy_stage import FakeFlow, Sent, Stage, make_request

from securertc.server.service import ProxyService
from sip import DigestClient, DigestServer, Request, Response, SipUri
from sip.digest.credentials import Credentials
from sip.message.message import new_call_id
from sip.proxy.events import ProxyTarget
from sip.proxy.proxy import Proxy
from sip.transaction.load_limits import LoadLimits

DOMAINS = frozenset(("example.com",))
PHONE = ("192.0.2.10", 5060)
BOB = "sip:bob@192.0.2.10"
VICTIM = ("203.0.113.66", 5060)
STRANGER = ("198.51.100.7", 5060)
ALICE = ("192.0.2.50", 5060)


@dataclass
class Guarded(Stage):
    """With Digest and without relaying; bob has registered BOB."""

    limits: LoadLimits = field(default_factory=LoadLimits)

    def __post_init__(self) -> None:
        users = {"alice": "secret", "bob": "secret"}
        digest = DigestServer.with_passwords("example.com", users, clock=self.time, proxy=True)
        self.service = ProxyService(DOMAINS, proxies=digest)
        self.service.identity = self.identity
        self.authorize = self.service.authorize
        super().__post_init__()
        self.locations["sip:bob@example.com"] = [ProxyTarget(SipUri.parse(BOB))]
        self.caller = FakeFlow("udp", STRANGER)

    def time(self) -> float:
        return self.now

    def renew_proxy(self) -> None:
        """Puts another proxy with the same key in its place."""
        before, self.proxy = self.proxy, None  # type: ignore[assignment]
        self.proxy = Proxy(self.identity, settings=self.settings, authorize=self.authorize, token_of=before._token_of)

    def places(self) -> set[tuple[str, int]]:
        """Where all went since the last time, and clears it."""
        return {one.address or one.flow.remote for one in self.take()}

    def requests(self) -> list[Sent]:
        """The requests among what was sent since the last time."""
        return [one for one in self.take() if isinstance(one.message, Request)]


def stranger_request(
    method: str = "INVITE",
    uri: str = "sip:bob@example.com",
    *,
    caller: str = "sip:mallory@evil.example",
    tag: str = "m",
    to: str = "sip:bob@example.com",
    to_tag: str | None = None,
    call_id: str = "",
    source: tuple[str, int] = STRANGER,
    transport: str = "UDP",
    branch: str = "z9hG4bKstranger",
    **headers: str,
) -> Request:
    """A request as somebody sends it who can write what he likes."""
    via = f"SIP/2.0/{transport} {source[0]}:{source[1]}"
    request = make_request(method, uri, branch=branch, via=via, **headers)
    request.headers.set("From", f"<{caller}>;tag={tag}")
    request.headers.set("To", f"<{to}>" + (f";tag={to_tag}" if to_tag else ""))
    request.headers.set("Call-ID", call_id or new_call_id())
    return request


def as_alice(stage: Guarded, request: Request, flow: FakeFlow) -> None:
    """Sends a request as alice does: once, and again with what the challenge wants."""
    stage.request(request, flow)
    challenge = next(one.message for one in reversed(stage.take()) if one.what == 407)
    assert isinstance(challenge, Response)
    client = DigestClient(
        (Credentials("example.com", "alice", "secret", destinations=["192.0.2.1", "far.example", "example.com"]),)
    )
    client.authorize(request, challenge, source="192.0.2.1")
    via = request.headers.get("Via") or ""
    request.headers.set("Via", f"{via}2")
    stage.request(request, flow)


__all__ = ["ALICE", "BOB", "PHONE", "STRANGER", "VICTIM", "Guarded", "as_alice", "stranger_request"]
