"""Answering Digest challenges, for the realms and servers that credentials were given for, and no others."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

from .digest import ALGORITHMS, canonical_algorithm, ha1, response, userhash
from .errors import DigestError, SipParseError
from .grammar import quote
from .header_values import AuthParameters
from .message import Request, Response

MAX_RENEWALS = 3
MAX_DIALOGS = 10000
_HEADERS = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}


@dataclass(frozen=True, slots=True)
class Credentials:
    """A username and password for one realm; the password never shows in repr."""

    realm: str
    username: str
    password: str = field(repr=False)


@dataclass(slots=True)
class _Nonce:
    value: str
    count: int = 0
    renewals: int = 0  # how many challenges in a row said stale


class DigestClient:
    """Answers challenges with the credentials it holds.

    A challenge of any other realm is refused: an attacker who can challenge a request must not get a hash to
    guess the password from. For the same reason a challenge inside a dialog is answered only when the request
    that made the dialog was ours and answered a challenge of that realm: a caller may not challenge our BYE in
    our own realm's name. `algorithms` are those allowed, strongest first; of the challenges that fit, the
    topmost is answered (RFC 7616 3.7), or with `strongest_first` the strongest. MD5 can be left out of
    `algorithms` to refuse the downgrade.
    """

    def __init__(
        self,
        credentials: tuple[Credentials, ...] = (),
        *,
        algorithms: tuple[str, ...] = ALGORITHMS,
        strongest_first: bool = False,
    ) -> None:
        self._credentials = {one.realm: one for one in credentials}
        self._algorithms = algorithms
        self._strongest_first = strongest_first
        self._nonces: dict[tuple[str, str], _Nonce] = {}
        self._dialogs: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.last_algorithm: str | None = None

    def authorize(self, request: Request, challenge: Response) -> None:
        """Puts the answer to a 401 or 407 into `request`, which is then to be sent with a new CSeq and branch.

        The request's body must be final: auth-int covers it. Raises DigestError when no challenge is of a
        realm with credentials and an allowed algorithm, when the answer to the one before was refused without
        being stale (or was stale over and over), and when the peer of a dialog may not challenge us.
        """
        challenge_header, header = _HEADERS[challenge.status]
        offered = self._usable(challenge.headers.get_all(challenge_header))
        parameters = offered[0]
        realm, nonce = parameters.get("realm") or "", parameters.get("nonce") or ""
        credentials = self._credentials[realm]
        self._check_dialog(request, realm)
        state = self._nonces.get((realm, header))
        stale = (parameters.get("stale") or "").lower() == "true"
        # Credentials for the realms of other proxies on the way stay (RFC 3261 22.3).
        others = [row for row in request.headers.get_all(header) if AuthParameters.parse(row).get("realm") != realm]
        answered = len(others) < request.headers.count(header)
        renewals = state.renewals + 1 if state is not None and answered and stale else 0
        if answered and (not stale or renewals > MAX_RENEWALS):
            raise DigestError(f"the credentials for the realm {realm!r} were refused", realm=realm)
        if state is None or state.value != nonce:
            state = self._nonces[realm, header] = _Nonce(nonce)
        state.renewals = renewals
        state.count += 1
        answer = self._answer(request, parameters, credentials, state.count)
        request.headers.remove(header)
        for row in (*others, answer):
            request.headers.add(header, row)

    def _check_dialog(self, request: Request, realm: str) -> None:
        key = (request.call_id, realm)
        if request.to.tag is None:
            self._dialogs[key] = None
            self._dialogs.move_to_end(key)
            if len(self._dialogs) > MAX_DIALOGS:
                self._dialogs.popitem(last=False)
        elif key not in self._dialogs:
            raise DigestError(f"the peer of a dialog may not challenge in the name of {realm!r}", realm=realm)

    def _usable(self, rows: list[str]) -> list[AuthParameters]:
        fitting = []
        realms = []
        for row in rows:
            try:
                parameters = AuthParameters.parse(row)
            except SipParseError:
                continue
            realm = parameters.get("realm")
            algorithm = canonical_algorithm(parameters.get("algorithm"))
            realms.append(realm or "")
            if parameters.scheme.lower() != "digest" or realm not in self._credentials or not parameters.get("nonce"):
                continue
            if algorithm in self._algorithms and _choose_qop(parameters) != "unsupported":
                fitting.append(parameters)
        if not fitting:
            known = [realm for realm in realms if realm in self._credentials]
            what = "only algorithms that are not allowed"
            if not known:
                what = f"no credentials for the realm {' or '.join(repr(one) for one in dict.fromkeys(realms))}"
            raise DigestError(f"the challenge cannot be answered: {what}", realm=realms[0] if realms else None)
        if self._strongest_first:
            fitting.sort(key=lambda one: self._algorithms.index(canonical_algorithm(one.get("algorithm")) or ""))
        return fitting

    def _answer(self, request: Request, parameters: AuthParameters, credentials: Credentials, count: int) -> str:
        algorithm = canonical_algorithm(parameters.get("algorithm")) or "MD5"
        realm, nonce = credentials.realm, parameters.get("nonce") or ""
        qop = _choose_qop(parameters)
        cnonce, nonce_count = secrets.token_hex(8), f"{count:08x}"
        secret = ha1(algorithm, credentials.username, realm, credentials.password)
        uri = str(request.uri)
        digest = response(
            algorithm,
            secret,
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


def _choose_qop(parameters: AuthParameters) -> str | None:
    """auth before auth-int, as proxies may touch bodies; None where no qop is asked for; "unsupported" otherwise."""
    offered = parameters.get("qop")
    if offered is None:
        return None
    values = [value.strip().lower() for value in offered.split(",")]
    return next((qop for qop in ("auth", "auth-int") if qop in values), "unsupported")
