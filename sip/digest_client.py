"""Answering Digest challenges, for the realms and servers that credentials were given for, and no others."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from .digest import ALGORITHMS, canonical_algorithm, ha1, response, userhash
from .errors import DigestError, SipParseError
from .grammar import quote
from .header_values import AuthParameters
from .message import Request, Response

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
    tried: set[str] = field(default_factory=set)


class DigestClient:
    """Answers challenges with the credentials it holds.

    A challenge of any other realm is refused: an attacker who can challenge a request must not get a hash to
    guess the password from. `algorithms` are those allowed, strongest first; of the challenges that fit, the
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
        self.last_algorithm: str | None = None

    def authorize(self, request: Request, challenge: Response) -> None:
        """Puts the answer to a 401 or 407 into `request`, which is then to be sent with a new CSeq and branch.

        The request's body must be final: auth-int covers it. Raises DigestError when no challenge is of a
        realm with credentials and an allowed algorithm, or the same nonce was refused without being stale.
        """
        challenge_header, header = _HEADERS[challenge.status]
        offered = self._usable(challenge.headers.get_all(challenge_header))
        parameters = offered[0]
        realm, nonce = parameters.get("realm") or "", parameters.get("nonce") or ""
        credentials = self._credentials[realm]
        state = self._nonces.get((realm, header))
        stale = (parameters.get("stale") or "").lower() == "true"
        if state is not None and request.headers.get(header) is not None:
            answered = AuthParameters.parse(request.headers.get(header) or "")
            if answered.get("realm") == realm and not stale:
                raise DigestError(f"the credentials for the realm {realm!r} were refused", realm=realm)
        if state is None or state.value != nonce:
            state = self._nonces[realm, header] = _Nonce(nonce)
        state.count += 1
        request.headers.set(header, self._answer(request, parameters, credentials, state.count))

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
            what = "only algorithms that are not allowed" if known else f"no credentials for the realm {realms!r}"
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
