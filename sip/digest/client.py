"""Answering Digest challenges, for the realms and servers that credentials were given for, and no others."""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass

from srtp.field_checks import as_flag

from ..discovery.target import next_hop, target_of
from ..errors import DigestError, SipParseError, TransportError
from ..message.grammar import quote
from ..message.header_values import AuthParameters
from ..message.host_names import bare_host
from ..message.message import Request, Response
from ..message.uri import SipUri
from .calculation import canonical_algorithm, checked_algorithms, response, userhash
from .credentials import Credentials

# Strongest first. MD5 has to be allowed by name.
DEFAULT_ALGORITHMS = ("SHA-512-256", "SHA-256")
MAX_RENEWALS = 3
MAX_CHALLENGES = 4  # that one INVITE is sent again for
MAX_DIALOGS = 10000
MAX_NONCE = 1024
_HEADERS = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}
_INFO = (("Authentication-Info", "Authorization"), ("Proxy-Authentication-Info", "Proxy-Authorization"))


@dataclass(slots=True)
class _Nonce:
    challenge: AuthParameters
    value: str
    host: str  # of the Request-URI that was challenged
    count: int = 0
    renewals: int = 0  # how many challenges in a row said stale


class DigestClient:
    """Answers challenges with the credentials it holds.

    A challenge of any other realm is refused, and so is one that comes from elsewhere than the credentials'
    destinations: an attacker who can challenge a request must not get a hash to guess the password from. Who asks by
    401 is who the request is for (RFC 3261 22.2), so that the host of the Request-URI has to be a destination: the
    next hop proves nothing of a callee behind it. Who asks by 407 is a proxy on the way (22.3): there the next hop
    may be the destination instead. Inside a dialog the peer chose Request-URI and way: there a 407 is answered by the
    next hop, a 401 where Request-URI and every Route are destinations, and both where the challenge comes from the
    very address whose challenge, of the same status and realm, was answered when we started the dialog. So a caller
    cannot challenge our BYE in our own realm's name, and the proxy that both calls went through can.

    No answer is sent twice: each request has a nonce count of its own for each nonce (RFC 7616 3.4).

    `algorithms` are those allowed, strongest first; of the challenges that fit, the topmost is answered (RFC 8760
    2.4), or with `strongest_first` the strongest. MD5 is refused unless it stands in `algorithms`. With
    `require_proof` a 2xx whose server did not prove that it knows the secret too is an error.
    """

    def __init__(
        self,
        credentials: tuple[Credentials, ...] = (),
        *,
        algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS,
        strongest_first: bool = False,
        require_proof: bool = False,
    ) -> None:
        self._credentials = {one.realm: one for one in credentials}
        self._algorithms = checked_algorithms(algorithms)
        self._strongest_first = as_flag(strongest_first, "strongest_first")
        self._require_proof = as_flag(require_proof, "require_proof")
        self._nonces: dict[tuple[str, str], _Nonce] = {}
        self._dialogs: OrderedDict[tuple[str, str, str], str] = OrderedDict()
        self._ahead: OrderedDict[str, None] = OrderedDict()  # the cnonces of answers given before a challenge
        self.last_algorithm: str | None = None
        self.last_proof = False  # whether the server of the last 2xx to an answer proved that it knows the secret

    def authorize(self, request: Request, challenge: Response, *, source: str = "") -> None:
        """Puts the answer to a 401 or 407 into `request`, which is then to be sent with a new CSeq and branch.

        What it has of answers to others is made anew with counts of their own.

        `source` names where the challenge came from, an address. The request's body must be final: auth-int
        covers it. Raises DigestError when no challenge is of a realm with credentials and an allowed algorithm,
        when the credentials are not for this destination, and when the answer to the challenge before was refused
        without being stale (or was stale over and over).
        """
        challenge_header, header = _HEADERS[challenge.status]
        offered = self._usable(challenge.headers.get_all(challenge_header))
        parameters = offered[0]
        realm, nonce = parameters.get("realm") or "", parameters.get("nonce") or ""
        credentials = self._credentials[realm]
        self._check_destination(request, credentials, header, source)
        state = self._nonces.get((realm, header))
        stale = (parameters.get("stale") or "").lower() == "true"
        # Credentials for the realms of other proxies on the way stay (RFC 3261 22.3).
        others = [row for row in request.headers.get_all(header) if AuthParameters.parse(row).get("realm") != realm]
        answered = len(others) < request.headers.count(header) and not self._was_ahead(request, header, realm)
        renewals = state.renewals + 1 if state is not None and answered and stale else 0
        if answered and (not stale or renewals > MAX_RENEWALS):
            raise DigestError(f"the credentials for the realm {realm!r} were refused", realm=realm)
        if state is None or state.value != nonce:
            state = self._nonces[realm, header] = _Nonce(parameters, nonce, _host(request))
        state.renewals = renewals
        answer = self._answer(request, state, credentials)
        request.headers.remove(header)
        for row in others:
            request.headers.add(header, row)
        self.repeat(request)
        request.headers.add(header, answer)

    def repeat(self, request: Request) -> None:
        """Makes the answers in a request anew, with the next nonce counts, before it is sent once more.

        A server takes no count twice, and would refuse the request for it. Answers to challenges that are no longer
        known stay as they are.
        """
        for _, header in _HEADERS.values():
            rows = request.headers.get_all(header)
            if rows:
                request.headers.remove(header)
            for row in rows:
                request.headers.add(header, self._made_anew(request, header, row))

    def _made_anew(self, request: Request, header: str, row: str) -> str:
        given = AuthParameters.parse(row)
        realm = given.get("realm") or ""
        state, credentials = self._nonces.get((realm, header)), self._credentials.get(realm)
        if state is None or credentials is None:
            return row
        answer = self._answer(request, state, credentials)
        if given.get("cnonce") in self._ahead:
            self._note_ahead(answer)
        return answer

    def anticipate(self, request: Request) -> None:
        """Answers the last challenge that a request to the same host met once more, before the next one comes.

        Does nothing within dialogs, for other hosts, and where the request has credentials already.
        """
        if request.to.tag is not None:
            return
        for (realm, header), state in self._nonces.items():
            credentials = self._credentials[realm]
            allowed = _may_ask(request, header, credentials)
            if not allowed or state.host != _host(request) or header in request.headers:
                continue
            answer = self._answer(request, state, credentials)
            request.headers.add(header, answer)
            self._note_ahead(answer)

    def _note_ahead(self, answer: str) -> None:
        self._ahead[AuthParameters.parse(answer).get("cnonce") or ""] = None
        if len(self._ahead) > MAX_DIALOGS:
            self._ahead.popitem(last=False)

    def _was_ahead(self, request: Request, header: str, realm: str) -> bool:
        """Whether the answer in a request was given before any challenge: its refusal says nothing of the password."""
        rows = [AuthParameters.parse(row) for row in request.headers.get_all(header)]
        return any(row.get("realm") == realm and row.get("cnonce") in self._ahead for row in rows)

    def verify(self, request: Request, answer: Response) -> bool:
        """Returns whether the 2xx `answer` proves that its server knows the secret of the answer in `request`.

        False when it does not say (and need not). Raises DigestError when what it says is wrong, and with
        `require_proof` when it says nothing: then it does not come from whom we share a secret with.
        """
        proven = asked = False
        for info_header, header in _INFO:
            given = [AuthParameters.parse(row) for row in request.headers.get_all(header)]
            asked = asked or bool(given)
            row = answer.headers.get(info_header)
            if row is None:
                continue
            try:
                info = AuthParameters.parse(f"Digest {row}")
            except SipParseError as error:
                raise DigestError(f"{info_header}: {error.reason}") from None
            if info.get("rspauth") is not None:
                meant = next((one for one in given if self._proves(one, info, answer)), None)
                if meant is None:
                    raise DigestError("the server's proof that it knows the secret is wrong")
                proven = True
                self._take_next(meant.get("realm") or "", header, info.get("nextnonce"))
        if asked and not proven and self._require_proof:
            raise DigestError("the server did not prove that it knows the secret")
        if asked:
            self.last_proof = proven
        return proven

    def _take_next(self, realm: str, header: str, nonce: str | None) -> None:
        """The nonce that the server, proven, wants to see next (RFC 7616 3.5)."""
        state = self._nonces.get((realm, header))
        if state is not None and nonce and len(nonce) <= MAX_NONCE:
            self._nonces[realm, header] = _Nonce(state.challenge, nonce, state.host)

    def _proves(self, given: AuthParameters, info: AuthParameters, answer: Response) -> bool:
        credentials = self._credentials.get(given.get("realm") or "")
        algorithm = canonical_algorithm(given.get("algorithm"))
        # It must repeat what was sent, as far as it does; auth-int of the request must not become auth here, which
        # leaves the body open.
        repeated = all(info.get(name) in (None, given.get(name)) for name in ("qop", "cnonce", "nc"))
        if credentials is None or algorithm is None or not repeated:
            return False
        wanted = response(
            algorithm,
            credentials.ha1(algorithm),
            nonce=given.get("nonce") or "",
            method="",
            uri=given.get("uri") or "",
            qop=given.get("qop"),
            nonce_count=given.get("nc") or "",
            cnonce=given.get("cnonce") or "",
            body=answer.body,
        )
        return hmac.compare_digest(wanted.encode(), (info.get("rspauth") or "").lower().encode("utf-8", "replace"))

    def _check_destination(self, request: Request, credentials: Credentials, header: str, source: str) -> None:
        key = (request.call_id, credentials.realm, header)
        if request.to.tag is None:
            if not _may_ask(request, header, credentials):
                text = f"the credentials for {credentials.realm!r} are not for {_shown(request, header)}"
                raise DigestError(text, realm=credentials.realm)
            self._dialogs[key] = source
            self._dialogs.move_to_end(key)
            if len(self._dialogs) > MAX_DIALOGS:
                self._dialogs.popitem(last=False)
        elif not _may_ask_in_dialog(request, header, credentials) and not (source and self._dialogs.get(key) == source):
            text = f"the peer of a dialog may not challenge in the name of {credentials.realm!r}"
            raise DigestError(text, realm=credentials.realm)

    def _usable(self, rows: list[str]) -> list[AuthParameters]:
        fitting = []
        realms = []
        for row in rows:
            try:
                parameters = AuthParameters.parse(row)
            except SipParseError:
                continue
            realm, nonce = parameters.get("realm"), parameters.get("nonce") or ""
            algorithm = canonical_algorithm(parameters.get("algorithm"))
            realms.append(realm or "")
            if (
                parameters.scheme.lower() != "digest"
                or realm not in self._credentials
                or not 0 < len(nonce) <= MAX_NONCE
            ):
                continue
            known = algorithm in self._algorithms and self._credentials[realm].knows(algorithm or "")
            if known and _choose_qop(parameters) != "unsupported":
                fitting.append(parameters)
        if not fitting:
            what = "only algorithms that are not allowed"
            if not any(realm in self._credentials for realm in realms):
                what = f"no credentials for the realm {' or '.join(repr(one) for one in dict.fromkeys(realms))}"
            raise DigestError(f"the challenge cannot be answered: {what}", realm=realms[0] if realms else None)
        if self._strongest_first:
            fitting.sort(key=lambda one: self._algorithms.index(canonical_algorithm(one.get("algorithm")) or ""))
        return fitting

    def _answer(self, request: Request, state: _Nonce, credentials: Credentials) -> str:
        """Uses up one count of the nonce."""
        state.count += 1
        parameters = state.challenge
        algorithm = canonical_algorithm(parameters.get("algorithm")) or "MD5"
        realm, nonce = credentials.realm, state.value
        qop = _choose_qop(parameters)
        cnonce, nonce_count = secrets.token_hex(8), f"{state.count:08x}"
        uri = str(request.uri)
        digest = response(
            algorithm,
            credentials.ha1(algorithm),
            nonce=nonce,
            method=request.method,
            uri=uri,
            qop=qop,
            nonce_count=nonce_count,
            cnonce=cnonce,
            body=request.body,
        )
        hashed = (parameters.get("userhash") or "").lower() == "true"
        name = userhash(algorithm, credentials.username, realm) if hashed else credentials.username
        parts = [f"username={quote(name)}", f"realm={quote(realm)}", f"nonce={quote(nonce)}"]
        parts += [f"uri={quote(uri)}", f'response="{digest}"', f"algorithm={algorithm}"]
        if qop is not None:
            parts += [f"qop={qop}", f"nc={nonce_count}", f'cnonce="{cnonce}"']
        if parameters.get("opaque") is not None:
            parts.append(f"opaque={quote(parameters.get('opaque') or '')}")
        if hashed:
            parts.append("userhash=true")
        self.last_algorithm = algorithm
        return "Digest " + ", ".join(parts)


def _may_ask(request: Request, header: str, credentials: Credentials) -> bool:
    """Whether a request outside of dialogs may be challenged to carry `header`."""
    hosts = {_wanted_host(request)} | ({_next_host(request)} if header == "Proxy-Authorization" else set())
    return not hosts.isdisjoint(credentials.destinations)


def _may_ask_in_dialog(request: Request, header: str, credentials: Credentials) -> bool:
    if _next_host(request) not in credentials.destinations:
        return False
    if header == "Proxy-Authorization":
        return True
    # Behind a Route that is no destination anybody may answer in the name of our domain.
    routes = {bare_host(one.sip_uri.host) for one in request.routes}
    return routes | {_wanted_host(request)} <= credentials.destinations


def _wanted_host(request: Request) -> str:
    """Who the Request-URI is for; "" for no SIP URI."""
    return _proven_host(request.uri) if isinstance(request.uri, SipUri) else ""


def _next_host(request: Request) -> str:
    """Who the next hop is; "" where there is none."""
    try:
        return _proven_host(next_hop(request))
    except SipParseError:
        return ""


def _proven_host(uri: SipUri) -> str:
    """The name that TLS proves, or else where packets are sent: maddr leads elsewhere than to who is named."""
    try:
        target = target_of(uri)
    except TransportError:
        return ""
    return target.name if target.secure else target.host


def _shown(request: Request, header: str) -> str:
    hosts = {_wanted_host(request)} | ({_next_host(request)} if header == "Proxy-Authorization" else set())
    return " or ".join(sorted(hosts - {""})) or "this destination"


def _host(request: Request) -> str:
    return bare_host(request.uri.host) if isinstance(request.uri, SipUri) else str(request.uri)


def _choose_qop(parameters: AuthParameters) -> str | None:
    """auth before auth-int, as proxies may touch bodies; None where no qop is asked for; "unsupported" otherwise."""
    offered = parameters.get("qop")
    if offered is None:
        return None
    values = [value.strip().lower() for value in offered.split(",")]
    return next((qop for qop in ("auth", "auth-int") if qop in values), "unsupported")
