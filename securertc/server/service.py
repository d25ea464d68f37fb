"""What a proxy server of ours does beside forwarding: who may, who is where, and the registrar."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from sip import DigestServer, Request, Response, SipParseError, SipUri, Verdict
from sip.message import AuthParameters, NameAddr, OtherUri, Uri, ascii_lower, bare_host, host_reference
from sip.proxy import ProxyIdentity, ProxyTarget, Standing, asks_for_flow, replace_values, route_value
from sip.registrar import Binding, LocationService
from sip.transport import Flow
from srtp.field_checks import as_flag

_ALLOWED = "ACK, BYE, CANCEL, INVITE, OPTIONS, REGISTER"


class ProxyService:
    """The hooks and the location of a ProxyServer.

    `static` has the targets of addresses that are not registered: user@host, or host for all others there. Without
    `location` there is no registrar. With `proxies` and `registrar`, Digest for requests that are forwarded and for
    REGISTER, nobody may speak in the name of a user of `domains` without proof, in dialogs too. Who has
    not proven to be one of them reaches them and nobody else; in dialogs with them, by the Route that is told to the
    ends of the dialog. `relay` forwards for everybody to anywhere.
    With `prove_domains` a request from a user of any domain has to come by TLS from a server whose certificate is for
    that domain (RFC 5922 7.3); users of our own, and who registers there, are asked by Digest instead where there is.
    `shared` is for several proxies on one store: each records how it alone reaches a connection.
    """

    def __init__(
        self,
        domains: frozenset[str],
        *,
        location: LocationService | None = None,
        static: dict[str, tuple[ProxyTarget, ...]] | None = None,
        proxies: DigestServer | None = None,
        registrar: DigestServer | None = None,
        relay: bool = False,
        shared: bool = False,
        prove_domains: bool = False,
    ) -> None:
        self._domains = frozenset(map(bare_host, domains))
        self._location = location
        self._static = {static_key(name): targets for name, targets in (static or {}).items()}
        self._proxies = proxies
        self._registrar = registrar
        self._relay = as_flag(relay, "relay")
        self._shared = as_flag(shared, "shared")
        self._prove_domains = as_flag(prove_domains, "prove_domains")
        self.identity: ProxyIdentity | None = None  # of the server, once it is started

    @property
    def records_skipped(self) -> int:
        """How often a registration was found that could not be read."""
        return 0 if self._location is None else self._location.skipped

    # Who may.

    def authorize(self, request: Request, flow: Flow) -> Response | Standing:
        """Returns the refusal of a request, or who sent it; takes the credentials for us off an accepted one."""
        anybody = Standing.OPEN if self._relay else Standing.STRANGER
        if request.method == "ACK":
            return anybody  # nothing can challenge it
        if request.method == "REGISTER" and self._is_ours(request.uri):
            if self._registrar is not None or not self._prove_domains or _proves(flow, request.to.uri):
                return anybody  # serve() does it
            return request.create_response(403, "Domain Not Proven")
        caller = request.from_.uri
        if isinstance(caller, OtherUri) and self._names_us(caller):
            # im: and pres: (RFC 3860, 3859) name the same users, and nothing proves them.
            return request.create_response(403, "Not Your Address")
        if isinstance(caller, SipUri) and bare_host(caller.host) in self._domains:
            if self._proxies is not None:
                return self._authenticate(self._proxies, request, flow, caller)
            if self._prove_domains and _proves(flow, caller):
                return Standing.OPEN if self._relay else Standing.USER
        if self._prove_domains and not _proves(flow, caller):
            return request.create_response(403, "Domain Not Proven")
        return anybody

    def _authenticate(self, digest: DigestServer, request: Request, flow: Flow, caller: SipUri) -> Response | Standing:
        found = digest.check(request, source=flow.remote[0], datagram=not flow.reliable)
        if found.verdict is not Verdict.ACCEPTED:
            return digest.refuse(request, found)
        if not is_name_of(found.username or "", caller):
            return request.create_response(403, "Not Your Address")
        flow.prove()
        kept = [row for row in request.headers.get_all("Proxy-Authorization") if not _is_for(row, digest.realm)]
        replace_values(request.headers, "Proxy-Authorization", kept)
        return Standing.USER

    def _is_ours(self, uri: object) -> bool:
        if not isinstance(uri, SipUri):
            return False
        return bare_host(uri.host) in self._domains or (self.identity is not None and self.identity.serves(uri))

    def _names_us(self, uri: OtherUri) -> bool:
        host = unquote(uri.text).rpartition("@")[2]
        return bare_host(re.split("[;?/#:>]", host, maxsplit=1)[0]) in self._domains

    # Who is where.

    async def targets(self, request_uri: SipUri, request: Request) -> Sequence[ProxyTarget] | None:
        """See TargetSource."""
        host = host_reference(request_uri.host)
        static = self._static.get(f"{ascii_lower(unquote(request_uri.user or ''))}@{host}") or self._static.get(host)
        if static is not None:
            return static
        if self._location is None:
            return None
        located = await self._location.locate(request_uri)
        if located is None:
            return None
        found = []
        for group in located.groups:
            for binding in group:
                others = located.alternatives.get(binding.instance or "", ())
                found.append(self._target(binding, tuple(self._target(other) for other in others)))
        return found

    def _target(self, binding: Binding, alternatives: tuple[ProxyTarget, ...] = ()) -> ProxyTarget:
        path, flow = binding.path, binding.flow
        if path and self.identity is not None:
            first = NameAddr.parse(path[0]).uri
            if isinstance(first, SipUri) and first.user is not None and self.identity.is_ours(first):
                # The connection is ours: no need to go round by the network.
                path, flow = path[1:], first.user
        # Who registered a flow is reached by it or not at all (RFC 5626 7).
        failure = None if binding.reg_id is None else 480
        return ProxyTarget(binding.uri, binding.q, path, flow, alternatives, failure)

    # What is for the server itself.

    async def serve(self, request: Request, flow: Flow, token: str) -> Response:
        """Answers REGISTER where there is a registrar; 405 to what is not served."""
        if request.method != "REGISTER" or self._location is None:
            response = request.create_response(405)
            response.headers.add("Allow", _ALLOWED)
            return response
        user: str | None = None
        found = None
        if self._registrar is not None:
            found = self._registrar.check(request, source=flow.remote[0], datagram=not flow.reliable)
            if found.verdict is not Verdict.ACCEPTED:
                return self._registrar.refuse(request, found)
            user = found.username
        else:
            user = _registered_user(request)
        direct = len(request.vias) == 1 and (flow.reliable or asks_for_flow(request))
        if direct and self._shared and self.identity is not None:
            route = route_value(self.identity.address(flow.transport), secure=False, token=token)
            request.headers.prepend("Path", f"{route[:-1]};ob>" if asks_for_flow(request) else route)
        response = await self._location.register(request, user=user, flow=token if direct else None)
        if response.success:
            flow.prove()
        if self._registrar is not None and found is not None and response.success:
            self._registrar.confirm(response, found)
        return response


def is_name_of(username: str, uri: SipUri) -> bool:
    """Whether a Digest user is the one of an address: `alice` or `alice@example.com` of sip:alice@example.com."""
    name = unquote(uri.user or "")
    return bool(name) and username in (name, f"{name}@{host_reference(uri.host)}")


def _proves(flow: Flow, uri: Uri) -> bool:
    """Whether the certificate of the other end is for the domain of an address."""
    return isinstance(uri, SipUri) and flow.proves(bare_host(uri.host))


def static_key(name: str) -> str:
    """Returns user@host or host, as a configuration has it, in the form that requests are looked up by."""
    user, at, host = name.rpartition("@")
    return f"{ascii_lower(user)}{at}{host_reference(host)}"


def _registered_user(request: Request) -> str | None:
    """Without authentication everybody is whom he says he is."""
    uri = request.to.uri
    return unquote(uri.user or "") or None if isinstance(uri, SipUri) else None


def _is_for(row: str, realm: str) -> bool:
    try:
        return AuthParameters.parse(row).get("realm") == realm
    except SipParseError:
        return False
