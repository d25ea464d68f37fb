"""An endpoint: registers, calls and answers, by the security policy it was given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from sdp import AudioNegotiation, LocalMedia, MediaSecurity, NegotiationError, SdpError
from sip import (
    Credentials,
    DigestClient,
    DigestServer,
    NameAddr,
    Request,
    SipError,
    SipParseError,
    SipUri,
    Timers,
)
from sip.callbacks import call_back, result_of
from sip.dialog import Replaces
from sip.digest import ALGORITHMS, DEFAULT_ALGORITHMS, checked_algorithms
from sip.discovery import SECURE_TRANSPORTS, Locator, Resolver, target_of, transport_name
from sip.message import DEFAULT_LIMITS, CSeq, Limits, Response, new_call_id, new_tag
from sip.source import source_of
from sip.transaction import USER_AGENT_LIMITS, LoadLimits
from sip.transport import WILDCARDS, Failover, Flow, LocalAddress, WebSocketSettings, local_host_of
from sip.user_agent import (
    REMOVE_TIMEOUT,
    IncomingInvite,
    InviteDialog,
    OutboundRegistration,
    OutgoingInvite,
    Registration,
    UserAgent,
)
from srtp.field_checks import above_zero, at_least, check_fields

from ..assurance.report import SignallingFacts
from ..assurance.security_policy import SecurityPolicy
from ..errors import CallRefusedError, SecurityPolicyError
from ..media.late_keying import late_keying_of
from ..media.session import MediaSession
from ..tls_files import TlsFiles
from .call import Call, IncomingCall, path_is_secure
from .descriptors import calls_that_fit, warn_of_fewer_calls
from .messages import TextMessage

_CLOSE_TIMEOUT = 2.0
# What we offer RFC 4733 under; nearly everybody does.
_TELEPHONE_EVENT = 101
# For an offer that is looked at before our sockets are bound.
_NO_PORT_YET = 9
OnCall = Callable[[IncomingCall], Awaitable[None] | None]


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """Who an endpoint is and what it may do.

    `aor` is its address-of-record. `credentials` answer challenges, only those of their realms and destinations;
    where they name none, those are the realm, our domain and our proxy. `users`
    (name to password, with `realm`) make it challenge INVITEs by Digest with `digest_algorithms`.
    `outbound_proxy` is where its requests go first. With an `instance`, the URN of this device that stays the same
    (sip.outbound.new_instance()), it registers over flows that are kept open (RFC 5626), as who is behind NAT has to:
    one to each of `outbound_proxies`, or else to `outbound_proxy` or the registrar. `resolver` finds servers of
    domains by DNS (RFC 3263); without it names are resolved to addresses alone. `media_host` is the address that
    media is received on, by default, or where it is 0.0.0.0 or ::, that of the signalling. A call that is not
    answered in `answer_timeout` seconds is given up, from either side; one on which nothing has come for
    `media_timeout` seconds, RTCP included,
    is hung up (None: never).
    Beyond `max_calls` at once callers hear 486, and so do those of one address (of IPv6 one /64) while
    `source_unanswered` of its calls wait for an answer; where the process's descriptors are for fewer calls, the
    endpoint says so when it listens, and takes no more (`Endpoint.call_limit`). `websocket` is for transport=ws (RFC
    7118). With `accept_replaces` an INVITE may take the place of one of our calls (RFC 3891), whoever sends it, as the
    last step of an attended transfer; without it hears 403. `limits` are what others can make it keep: transactions
    and connections, in all and of one address, beyond which new requests hear 503; `message_limits` what one message
    may be.

    Raises ValueError, naming the field, for a value of another type, for times and numbers that cannot be, for a Digest
    algorithm that there is not, and for a user with an empty password.
    """

    aor: str
    policy: SecurityPolicy = field(default_factory=SecurityPolicy)
    credentials: tuple[Credentials, ...] = ()
    tls: TlsFiles = field(default_factory=TlsFiles)
    outbound_proxy: str | None = None
    instance: str | None = None
    outbound_proxies: tuple[str, ...] = ()
    resolver: Resolver | None = None
    realm: str | None = None
    users: dict[str, str] = field(default_factory=dict, repr=False)
    digest_algorithms: tuple[str, ...] = ("SHA-256", "MD5")
    media_host: str | None = None
    timers: Timers = field(default_factory=Timers)
    answer_timeout: float = 180.0
    media_timeout: float | None = 30.0
    max_calls: int = 1000
    source_unanswered: int = 32
    websocket: WebSocketSettings = field(default_factory=WebSocketSettings)
    accept_replaces: bool = False
    limits: LoadLimits = USER_AGENT_LIMITS
    message_limits: Limits = DEFAULT_LIMITS

    def __post_init__(self) -> None:
        check_fields(self)
        above_zero(self, "answer_timeout", "media_timeout")
        at_least(self, 0, "max_calls", "source_unanswered")
        if self.users or self.digest_algorithms:
            checked_algorithms(self.digest_algorithms)
        for name, password in self.users.items():
            if not password:
                raise ValueError(f"the password of {name!r} is empty: anybody could answer for it")


class Endpoint:
    """A SIP endpoint with audio, on the running event loop.

    Use it as `async with Endpoint(settings, on_call=...) as endpoint`, then listen(), register(), call().
    `on_call` gets every incoming call that the policy lets pass, and has to answer or reject it. `on_message` gets
    what comes by MESSAGE (RFC 3428). Both may be coroutine functions, as all that is called back may: an exception is
    logged, answers 500 where an answer is due, and touches nothing else.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        *,
        on_call: OnCall | None = None,
        on_message: Callable[[TextMessage], Awaitable[None] | None] | None = None,
    ) -> None:
        if not isinstance(settings, EndpointSettings):
            raise TypeError(f"settings is a {type(settings).__name__}, it must be EndpointSettings, as of an aor")
        for callback, name in ((on_call, "on_call"), (on_message, "on_message")):
            if callback is not None and not callable(callback):
                raise TypeError(f"{name} is a {type(callback).__name__}, it must be something to call")
        self.settings = settings
        self.aor = SipUri.parse(settings.aor)
        self._on_call = on_call
        self._on_message = on_message
        self._calls: set[Call] = set()
        self._registration: Registration | None = None
        self._outbound: OutboundRegistration | None = None
        self._incoming_calls: set[IncomingCall] = set()
        self._background: set[asyncio.Future[Any]] = set()
        self._callbacks: set[asyncio.Task[None]] = set()
        # How many calls there may be at once, by the settings and by the process's descriptors.
        self.call_limit = calls_that_fit(settings.max_calls, connections=settings.limits.connections)
        authenticator = None
        if settings.users:
            authenticator = DigestServer.with_passwords(
                settings.realm or self.aor.host,
                settings.users,
                clock=asyncio.get_running_loop().time,
                algorithms=settings.digest_algorithms,
            )
        self.user_agent = UserAgent(
            on_invite=self._incoming,
            on_request=self._message,
            extra_methods=frozenset() if on_message is None else frozenset(("MESSAGE",)),
            digest=self._digest_client(),
            authenticator=authenticator,
            outbound_proxy=None if settings.outbound_proxy is None else SipUri.parse(settings.outbound_proxy),
            locator=None if settings.resolver is None else Locator(settings.resolver),
            tls_client=settings.tls.client_context(),
            allow_wildcards=settings.policy.allow_wildcards,
            timers=settings.timers,
            websocket=settings.websocket,
            limits=settings.limits,
            message_limits=settings.message_limits,
        )

    async def __aenter__(self) -> Endpoint:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def calls(self) -> frozenset[Call]:
        """The calls that have not ended."""
        return frozenset(self._calls)

    async def listen(self, transport: str, host: str = "127.0.0.1", port: int = 0) -> LocalAddress:
        """Listens on udp, tcp, tls, ws or wss, in any case, and returns the address; raises OSError as bind() does.

        TLS needs the certificate of the settings; ValueError without one, for any other transport, and for no host: all
        interfaces are 0.0.0.0 or ::. Raises TransportError after close().
        """
        transport = transport_name(transport)
        if self.call_limit < self.settings.max_calls:
            warn_of_fewer_calls(self.call_limit, self.settings.max_calls)
        tls = self.settings.tls.server_context() if transport in SECURE_TRANSPORTS else None
        return await self.user_agent.listen(transport, host, port, tls=tls)

    def reload_tls(self) -> None:
        """Reads the TLS files of the settings again, for connections from now on; calls go on over those that stand.

        Raises TlsFileError for files that cannot be used, and ValueError when the settings name no certificate; then
        nothing has changed.
        """
        files = self.settings.tls
        self.user_agent.replace_tls(client=files.client_context(), server=files.server_context())

    async def register(self, *, expires: int = 600) -> int:
        """Registers the address-of-record, refreshes it until close(), and returns the seconds granted.

        Raises SipError when the registrar refuses or cannot be reached, over every flow where there are several.
        """
        if self.settings.instance is not None:
            return await self._register_flows(self.settings.instance, expires)
        if self._registration is None:
            request = Request("REGISTER", SipUri(self.aor.scheme, self.aor.host, port=self.aor.port))
            request.uri = replace(self.aor, user=None)
            request.headers.add("To", str(NameAddr(self.aor)))
            self.user_agent.add_outbound_route(request)
            flow = await self.user_agent.flow_for(request)
            contact = self.user_agent.contact(flow.transport, self.aor.user, flow=flow)
            self._registration = Registration(self.user_agent, self.aor, contact, expires=expires)
        return await self._registration.register()

    async def unregister(self, *, timeout: float = REMOVE_TIMEOUT) -> bool:  # noqa: ASYNC109  # it does not raise
        """Removes what register() registered; returns whether the registrar has confirmed it in `timeout` seconds.

        What goes wrong is left to the expiry of the binding. False, too, when nothing was registered.
        """
        registrations = [one for one in (self._registration, self._outbound) if one is not None]
        removed = await asyncio.gather(*(one.unregister(timeout=timeout) for one in registrations))
        return bool(removed) and all(removed)

    async def _register_flows(self, instance: str, expires: int) -> int:
        given = self.settings.outbound_proxies
        if not given and self.settings.outbound_proxy is not None:
            given = (self.settings.outbound_proxy,)
        proxies: list[SipUri | None] = [SipUri.parse(one) for one in given]
        if self._outbound is not None:
            await self._outbound.stop()
        self._outbound = OutboundRegistration(self.user_agent, self.aor, instance, proxies or (None,), expires=expires)
        return await self._outbound.register()

    async def call(
        self,
        uri: str,
        *,
        on_progress: Callable[[int], Awaitable[None] | None] | None = None,
        replaces: Replaces | None = None,
    ) -> Call:
        """Calls a SIP URI and returns the established call. `on_progress` hears provisional statuses.

        `replaces` is the other side's call that this one is to take the place of (RFC 3891).
        Raises SecurityPolicyError, before anything is sent, when the policy's security cannot be had on the way
        there, or when the answer does not give it (the call is ended then); CallRefusedError when the other side
        refuses; SipError when it cannot be reached or proves another name; OSError or RtpError without
        ports for media. Cancelling the task cancels the call.
        """
        target = SipUri.parse(uri)
        request = self._request("INVITE", target)
        if replaces is not None:
            request.headers.add("Replaces", str(replaces))
            request.headers.add("Require", "replaces")
        self.user_agent.add_outbound_route(request)
        tries = await self.user_agent.tries_for(request)
        local, note = self.local_security(hop_is_secure=tries.target.secure)
        flow = await tries.flow()
        contact = self.user_agent.contact(flow.transport, self.aor.user, secure=target.secure, flow=flow)
        request.headers.add("Contact", str(contact))
        media = self.open_media(flow)
        negotiation = AudioNegotiation(self._local_media(media.local_address, media.local_port, local))
        request.headers.add("Content-Type", "application/sdp")
        request.body = negotiation.create_offer().encode()
        try:
            return await self._establish(request, tries, media, negotiation, note, on_progress)
        except BaseException:
            media.close("local")
            raise

    async def send_message(self, uri: str, body: str | bytes, *, content_type: str = "text/plain") -> None:
        """Sends a MESSAGE (RFC 3428); text goes as UTF-8.

        Raises CallRefusedError when it is refused, and SipError when it cannot be delivered.
        """
        request = self._request("MESSAGE", SipUri.parse(uri))
        request.headers.add("Content-Type", content_type)
        request.body = body.encode() if isinstance(body, str) else body
        response = await self.user_agent.request(request)
        if not response.success:
            raise CallRefusedError(f"{response.status} {response.reason}", status=response.status)

    async def _message(self, request: Request) -> Response:
        if self._on_message is None:
            return request.create_response(405)
        message = TextMessage(str(request.from_.uri), request.body, request.content_type)
        await result_of(self._on_message, message)
        return request.create_response(200)

    async def close(self) -> None:
        """Hangs up all calls, refuses those that wait, removes the registration, and closes every socket."""
        for incoming in list(self._incoming_calls):
            incoming.reject(480)
        await asyncio.gather(*(call.hangup() for call in list(self._calls)), return_exceptions=True)
        current = asyncio.current_task()
        callbacks = [task for task in self._callbacks if task is not current]  # we may be called by one
        if self._background or callbacks:
            await asyncio.wait([*self._background, *callbacks], timeout=_CLOSE_TIMEOUT)
        for task in callbacks:
            task.cancel()
        await self.unregister()
        await self.user_agent.close()
        await asyncio.gather(*self._background, *callbacks, return_exceptions=True)

    @property
    def registration(self) -> Registration | None:
        """The binding at the registrar, after register()."""
        return self._registration

    @property
    def outbound(self) -> OutboundRegistration | None:
        """The bindings over kept flows, after register() with an `instance`."""
        return self._outbound

    def facts_of(
        self, flow: Flow, digest_algorithm: str | None, user: str | None, *, path: tuple[str, ...] = ()
    ) -> SignallingFacts:
        """What is known of a call's first hop, and of the proxies behind it."""
        return SignallingFacts(flow.transport, flow.remote[0], flow.peer, digest_algorithm, user, path)

    def remember(self, call: Call) -> None:
        """Counts an established call among `calls`."""
        self._calls.add(call)

    def forget(self, call: Call) -> None:
        """Drops a call that has ended from `calls`."""
        self._calls.discard(call)

    def forget_incoming(self, call: IncomingCall) -> None:
        """Drops an incoming call that was answered, refused or given up."""
        self._incoming_calls.discard(call)

    def keep_callback(self, task: asyncio.Task[None]) -> None:
        """Keeps a coroutine of the application's, which close() ends if the end of the calls does not."""
        self._callbacks.add(task)
        task.add_done_callback(self._callbacks.discard)

    def hang_up_soon(self, call: Call) -> None:
        """Hangs up in the background."""
        self.in_background(asyncio.ensure_future(call.hangup()))

    def in_background(self, work: asyncio.Future[Any] | Coroutine[Any, Any, Any]) -> None:
        """Keeps work of a call until it is done; close() waits for it a while."""
        work = asyncio.ensure_future(work)
        self._background.add(work)
        work.add_done_callback(self._background.discard)

    async def _establish(
        self,
        request: Request,
        tries: Failover,
        media: MediaSession,
        negotiation: AudioNegotiation,
        note: str,
        on_progress: Callable[[int], Awaitable[None] | None] | None,
    ) -> Call:
        invite = self.user_agent.invite(request, tries=tries)
        if on_progress is not None:
            invite.on_progress = lambda response: on_progress(response.status)
        try:
            dialog = await self._run(invite)
        except SipError as error:
            if getattr(error, "response", None) is not None:
                raise CallRefusedError.from_sip(error) from error
            raise
        assert invite.response is not None
        try:
            agreed = negotiation.receive_answer(invite.answer)
        except SdpError as error:
            # The call stands by its 2xx and has to be ended; no media was sent.
            self.in_background(asyncio.ensure_future(dialog.bye()))
            if isinstance(error, NegotiationError):
                raise SecurityPolicyError(str(error), tier="media") from error
            raise
        # Each proxy that stays in the path put itself before those that the request met earlier.
        path = tuple(str(route.uri) for route in reversed(invite.response.record_routes))
        facts = self.facts_of(dialog.flow, invite.digest_algorithm, None, path=path)
        media.start(agreed)
        call = Call(self, dialog, media, negotiation, facts, note)
        self._calls.add(call)
        return call

    async def _run(self, invite: OutgoingInvite) -> InviteDialog:
        """The dialog of an INVITE; when it takes too long, or the task is cancelled, a CANCEL goes out."""
        running = asyncio.ensure_future(invite.run())
        try:
            async with asyncio.timeout(self.settings.answer_timeout):
                return await asyncio.shield(running)
        except TimeoutError:
            raise CallRefusedError(f"no answer in {self.settings.answer_timeout:g} s", status=0) from None
        finally:
            if not running.done():
                invite.cancel()
                # Goes on until the final response, which has to be acknowledged, and ends what was answered after all.
                running.add_done_callback(lambda done: done.cancelled() or done.exception())
                self.in_background(running)

    def _incoming(self, invite: IncomingInvite) -> None:
        if self._on_call is None:
            invite.reject(480)
            return
        source = source_of(invite.flow.remote[0])
        unanswered = sum(1 for one in self._incoming_calls if one.source == source)
        if len(self._calls) + len(self._incoming_calls) >= self.call_limit:
            invite.reject(486)
            return
        if unanswered >= self.settings.source_unanswered:
            invite.reject(486)
            return
        try:
            replaced = self._replaced_by(invite)
        except CallRefusedError as error:
            invite.reject(error.status, warning=str(error))
            return
        try:
            secure = invite.flow.secure and path_is_secure(invite.request)
            local, note = self.local_security(hop_is_secure=secure)
        except SecurityPolicyError as error:
            invite.reject(488, warning=str(error))
            return
        # Sockets are bound when the call is answered: who only calls takes none.
        negotiation = AudioNegotiation(self._local_media(self._media_host(invite.flow), _NO_PORT_YET, local))
        try:
            if invite.request.body:
                negotiation.receive_offer(invite.request.body)
        except SdpError as error:
            status = error.status if isinstance(error, NegotiationError) else 400
            refusals = error.refusals if isinstance(error, NegotiationError) else ()
            # RFC 4567 4.1.2 has its own code for key management that failed.
            code = 306 if any(one.subject.startswith("a=key-mgmt") for one in refusals) else 399
            invite.reject(status, warning=str(error), warning_code=code)
            return
        incoming = IncomingCall(self, invite, negotiation, note, replaced)
        self._incoming_calls.add(incoming)
        call_back(self.keep_callback, self._on_call, incoming, failed=lambda: incoming.reject(500))

    def _replaced_by(self, invite: IncomingInvite) -> Call | None:
        """The call that an INVITE is to take the place of; raises CallRefusedError for one it cannot (RFC 3891 3)."""
        try:
            replaces = Replaces.of(invite.request)
        except SipParseError as error:
            raise CallRefusedError(str(error), status=400) from error
        if replaces is None:
            return None
        if not self.settings.accept_replaces:
            raise CallRefusedError("calls are not handed over here", status=403)
        found = next((call for call in self._calls if call.is_dialog(replaces)), None)
        if found is None:
            raise CallRefusedError("there is no such call", status=481)
        if replaces.early_only:
            raise CallRefusedError("the call has been answered", status=486)
        return found

    def local_security(self, *, hop_is_secure: bool) -> tuple[MediaSecurity, str]:
        """What to ask of the media on this hop, and why it is less than the policy prefers, if it is."""
        policy = self.settings.policy
        if policy.media is MediaSecurity.OFF or policy.keys_may_travel(hop_is_secure=hop_is_secure):
            return policy.media, ""
        if policy.media is MediaSecurity.REQUIRED:
            text = "SRTP is required, and its keys would cross a hop without TLS (allow_cleartext_keys is off)"
            raise SecurityPolicyError(text, tier="media")
        return MediaSecurity.OFF, "not sent: the hop has no TLS (allow_cleartext_keys is off)"

    def _local_media(self, address: str, port: int, security: MediaSecurity) -> LocalMedia:
        return LocalMedia(
            address,
            port,
            security=security,
            crypto_suites=self.settings.policy.crypto_suites,
            keying=self.settings.policy.keying,
            telephone_event=_TELEPHONE_EVENT,
        )

    def _request(self, method: str, target: SipUri) -> Request:
        request = Request(method, target.without_headers())
        request.headers.add("Max-Forwards", "70")
        request.headers.add("From", str(NameAddr(replace(self.aor, parameters=())).with_tag(new_tag())))
        request.headers.add("To", str(NameAddr(SipUri(target.scheme, target.host, target.user, None, target.port))))
        request.headers.add("Call-ID", new_call_id())
        request.headers.add("CSeq", str(CSeq(1, method)))
        return request

    def _media_host(self, flow: Flow) -> str:
        """The address that the peer of the signalling sees, if there is none in the settings."""
        host = self.settings.media_host
        # Whoever is told to send to all addresses takes it for a hold (RFC 3264 8.4).
        return local_host_of(flow) if host is None or host in WILDCARDS else host

    def open_media(self, flow: Flow) -> MediaSession:
        """Binds a call's media sockets; raises OSError, or RtpError without a free pair of ports."""
        media = MediaSession(self._media_host(flow))
        late_keying = late_keying_of(self.settings.policy.keying)
        if late_keying is not None:
            media.key_by(late_keying)
        return media

    def _digest_client(self) -> DigestClient | None:
        """Answers challenges of our own domain and proxy, and of where the credentials are for besides."""
        if not self.settings.credentials:
            return None
        home = {self.aor.host}
        single = self.settings.outbound_proxy
        for one in (*self.settings.outbound_proxies, *(() if single is None else (single,))):
            proxy = target_of(SipUri.parse(one))
            home.add(proxy.name if proxy.secure else proxy.host)
        policy = self.settings.policy
        return DigestClient(
            tuple(one.also_for(home) for one in self.settings.credentials),
            algorithms=ALGORITHMS if policy.allow_md5 else DEFAULT_ALGORITHMS,
            strongest_first=policy.strongest_digest,
        )
