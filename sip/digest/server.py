"""Challenging requests and checking the answers (RFC 7616 3.3 to 3.6, RFC 8760)."""

from __future__ import annotations

import enum
import hmac
import math
import secrets
import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from srtp import SecretBytes
from srtp.field_checks import as_flag, check_fields

from ..callbacks import must_not_be_async
from ..errors import SipParseError
from ..message.grammar import has_control, quote
from ..message.header_values import AuthParameters
from ..message.host_names import bare_host, same_host
from ..message.message import Request, Response
from ..message.uri import SipUri, parse_uri
from .calculation import canonical_algorithm, checked_algorithms, response
from .guess_limit import GuessLimit
from .stored_secrets import DigestSecrets

NONCE_LIFETIME = 300.0
MAX_NONCES = 10000
_COUNT_WINDOW = 256

# (username, realm, algorithm) to HA1, or None for an unknown user.
SecretLookup = Callable[[str, str, str], str | None]
# (userhash, algorithm) to username, or None.
UsernameLookup = Callable[[str, str], str | None]


class Verdict(enum.Enum):
    """What came of checking a request's credentials."""

    ACCEPTED = "accepted"
    MISSING = "missing"  # none for our realm: challenge
    STALE = "stale"  # for a nonce that is old, used up or not ours, whether right or wrong: challenge with stale=true
    REFUSED = "refused"  # wrong password, unknown user, replayed nonce count: challenge anew
    MALFORMED = "malformed"  # 400
    DELAYED = "delayed"  # too many wrong answers before: not looked at


@dataclass(frozen=True, slots=True)
class Authentication:
    """The verdict; on acceptance who it was by which algorithm, and on delay for how many seconds more.

    `bound_to` is the address that the next challenge is for, None where it is for everybody.
    """

    verdict: Verdict
    username: str | None = None
    algorithm: str | None = None
    retry_after: int | None = None
    proof: Proof | None = None
    bound_to: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class Proof:
    """What it takes to prove in the response that the server knows the secret too (RFC 7616 3.5)."""

    secret: SecretBytes
    algorithm: str
    nonce: str
    uri: str
    qop: str
    nonce_count: str
    cnonce: str


@dataclass(slots=True)
class _CountWindow:
    """Which nonce counts were seen: the highest, and a bit for each of the 256 below it."""

    highest: int = 0
    seen: int = 0

    def accept(self, count: int) -> bool:
        if count > self.highest:
            # A count may jump by 2**32; a shift by as much would take half a gigabyte.
            ahead = min(count - self.highest, _COUNT_WINDOW)
            self.seen = (self.seen << ahead | 1) & ((1 << _COUNT_WINDOW) - 1)
            self.highest = count
            return True
        behind = self.highest - count
        if behind >= _COUNT_WINDOW or self.seen >> behind & 1:
            return False
        self.seen |= 1 << behind
        return True


class DigestServer:
    """Challenges for one realm and checks answers against HA1 values.

    `algorithms` are offered in this order, one challenge each. Nonces carry the time, sealed by HMAC, so that
    only those answered take memory; each keeps the nonce counts it has seen, and no count is taken twice. Over UDP
    the seal covers the address that the challenge goes to, too. An answer to a nonce that is not ours, or was for
    another address, is not looked at and counts for no wrong one: a stranger can neither guess by it nor have
    others counted as guessing. With `one_time` a nonce is taken once only, and the response names the next one.
    `secret_of` gives HA1 for (username, realm, algorithm); with `username_of`, clients are asked to hide their names
    by userhash. `guesses` slows down wrong answers. With `clock` in seconds it is sans-IO.
    """

    def __init__(
        self,
        realm: str,
        secret_of: SecretLookup,
        *,
        clock: Callable[[], float],
        algorithms: tuple[str, ...] = ("SHA-256", "MD5"),
        qop: tuple[str, ...] = ("auth", "auth-int"),
        proxy: bool = False,
        username_of: UsernameLookup | None = None,
        one_time: bool = False,
        guesses: GuessLimit | None = None,
    ) -> None:
        self.realm = realm
        self.algorithms = checked_algorithms(algorithms)
        must_not_be_async(secret_of, "secret_of")
        must_not_be_async(username_of, "username_of")
        self._secret_of = secret_of
        self._clock = clock
        self._qop = qop
        self._proxy = as_flag(proxy, "proxy")
        self._username_of = username_of
        self._one_time = as_flag(one_time, "one_time")
        self._guesses = GuessLimit() if guesses is None else guesses
        self._key = secrets.token_bytes(32)
        self._opaque = secrets.token_hex(8)
        self._counts: OrderedDict[str, _CountWindow] = OrderedDict()
        self._forgotten = float("-inf")

    @classmethod
    def with_passwords(
        cls,
        realm: str,
        passwords: dict[str, str],
        *,
        clock: Callable[[], float],
        algorithms: tuple[str, ...] = ("SHA-256", "MD5"),
        proxy: bool = False,
        userhash: bool = False,
    ) -> DigestServer:
        """A server that knows its users by password; only HA1 values are kept."""
        known = DigestSecrets.of_passwords(realm, passwords, algorithms)
        return cls(
            realm,
            known.secret_of,
            clock=clock,
            algorithms=algorithms,
            proxy=proxy,
            username_of=known.username_of if userhash else None,
        )

    def challenge(self, request: Request, *, stale: bool = False, bound_to: str | None = None) -> Response:
        """Returns the 401 (407 for a proxy) with a challenge for each algorithm, in order of preference.

        One that is `bound_to` an IP address can be answered over UDP, and from there alone.
        """
        answer = request.create_response(407 if self._proxy else 401)
        name = "Proxy-Authenticate" if self._proxy else "WWW-Authenticate"
        for algorithm in self.algorithms:
            parts = [f"realm={quote(self.realm)}", f'nonce="{self._new_nonce(bound_to)}"', f"algorithm={algorithm}"]
            parts += [f'qop="{",".join(self._qop)}"', f'opaque="{self._opaque}"']
            if stale:
                parts.append("stale=true")
            if self._username_of is not None:
                parts.append("userhash=true")
            answer.headers.add(name, "Digest " + ", ".join(parts))
        return answer

    def refuse(self, request: Request, found: Authentication) -> Response:
        """Returns the response to a request that was not accepted: a challenge, 400, or 403 while it is delayed."""
        if found.verdict is Verdict.MALFORMED:
            return request.create_response(400, "Malformed Authorization")
        if found.verdict is Verdict.DELAYED:
            response = request.create_response(403, "Too Many Wrong Answers")
            response.headers.add("Retry-After", str(found.retry_after or 1))
            return response
        return self.challenge(request, stale=found.verdict is Verdict.STALE, bound_to=found.bound_to)

    def check(self, request: Request, *, source: str = "", datagram: bool = False) -> Authentication:
        """Returns whether a request carries good credentials for the realm.

        `source` is the IP address it came from. With `datagram`, for UDP, where anybody may write any source, only a
        nonce that was sent there counts.
        """
        found = self._look(request, source, datagram=datagram)
        return replace(found, bound_to=bare_host(source)) if datagram else found

    def _look(self, request: Request, source: str, *, datagram: bool) -> Authentication:
        for row in request.headers.get_all("Proxy-Authorization" if self._proxy else "Authorization"):
            try:
                given = AuthParameters.parse(row)
            except SipParseError:
                return Authentication(Verdict.MALFORMED)
            if given.scheme.lower() == "digest" and given.get("realm") == self.realm:
                return self._check(request, given, source, datagram=datagram)
        return Authentication(Verdict.MISSING)

    def confirm(self, response: Response, found: Authentication) -> None:
        """Puts Authentication-Info (Proxy-Authentication-Info, RFC 7615) on a 2xx: proof that we know the secret.

        The body must be final. Nothing is done without an acceptance.
        """
        proof = found.proof
        if proof is None:
            return
        digest = rspauth(proof, response.body)
        parts = [f"qop={proof.qop}", f'rspauth="{digest}"', f"cnonce={quote(proof.cnonce)}", f"nc={proof.nonce_count}"]
        if self._one_time:
            parts.append(f'nextnonce="{self._new_nonce(found.bound_to)}"')
        name = "Proxy-Authentication-Info" if self._proxy else "Authentication-Info"
        response.headers.set(name, ", ".join(parts))

    def _check(self, request: Request, given: AuthParameters, source: str, *, datagram: bool) -> Authentication:
        algorithm = canonical_algorithm(given.get("algorithm"))
        names = ("username", "nonce", "uri", "response")
        if any(given.get(name) is None for name in names):
            return Authentication(Verdict.MALFORMED)
        username, nonce, uri, digest = (given.get(name) or "" for name in names)
        qop, count, cnonce = given.get("qop"), given.get("nc") or "", given.get("cnonce") or ""
        if algorithm not in self.algorithms or qop not in self._qop or not _same_resource(uri, request):
            return Authentication(Verdict.REFUSED)
        if len(count) != 8 or any(digit not in "0123456789abcdefABCDEF" for digit in count) or has_control(cnonce):
            return Authentication(Verdict.MALFORMED)
        if given.get("opaque") not in (None, self._opaque):
            return Authentication(Verdict.STALE)  # of a challenge before we started
        assert algorithm is not None
        assert qop is not None
        now = self._clock()
        issued = self._issued_at(nonce, source, datagram=datagram)
        if issued is None or not 0 <= now - issued <= NONCE_LIFETIME:
            return Authentication(Verdict.STALE)  # not looked at: it would be a guess that costs nothing
        username = self._plain_username(username, algorithm, hashed=given.get("userhash") == "true")
        wait = self._guesses.wait(username, source, now)
        if wait > 0:
            return Authentication(Verdict.DELAYED, retry_after=math.ceil(wait))
        # An unknown user costs the same computation as a known one.
        secret = self._secret_of(username, self.realm, algorithm)
        proof = Proof(
            SecretBytes((secret or secrets.token_hex(32)).encode()), algorithm, nonce, uri, qop, count, cnonce
        )
        wanted = request_digest(proof, request.method, request.body)
        matches = hmac.compare_digest(wanted.encode(), digest.lower().encode("utf-8", "replace"))
        if secret is None or not matches:
            self._guesses.failed(username, source, now)
            return Authentication(Verdict.REFUSED)
        verdict = self._take_count(nonce, issued, int(count, 16))
        if verdict is not Verdict.ACCEPTED:
            return Authentication(verdict, username, algorithm)
        # Not before: a replayed answer is right, and must not earn the replayer anything.
        self._guesses.succeeded(username, source)
        return Authentication(verdict, username, algorithm, proof=proof)

    def _plain_username(self, username: str, algorithm: str, *, hashed: bool) -> str:
        if not hashed:
            return username
        return "" if self._username_of is None else self._username_of(username.lower(), algorithm) or ""

    def _take_count(self, nonce: str, issued: float, count: int) -> Verdict:
        window = self._counts.get(nonce)
        if window is not None and self._one_time:
            return Verdict.STALE
        if window is None:
            # What a forgotten nonce was used for is not known: none as old is taken again.
            if issued <= self._forgotten:
                return Verdict.STALE
            window = self._counts[nonce] = _CountWindow()
            while len(self._counts) > MAX_NONCES:
                oldest, _ = self._counts.popitem(last=False)
                self._forgotten = max(self._forgotten, _time_in(bytes.fromhex(oldest)))
        return Verdict.ACCEPTED if count > 0 and window.accept(count) else Verdict.REFUSED

    def _new_nonce(self, bound_to: str | None) -> str:
        body = struct.pack("!d", self._clock()) + secrets.token_bytes(8)
        return (body + self._seal(body, bound_to)).hex()

    def _issued_at(self, nonce: str, source: str, *, datagram: bool) -> float | None:
        """When we issued a nonce that may be answered from `source`, or None when we did not."""
        try:
            data = bytes.fromhex(nonce)
        except ValueError:
            return None
        if len(data) != 32 or data.hex() != nonce:
            return None
        # What was asked by UDP may be answered by a connection from the same address: the answer may be too large.
        allowed = (bare_host(source),) if datagram else (None, bare_host(source))
        if not any(hmac.compare_digest(self._seal(data[:16], one), data[16:]) for one in allowed):
            return None
        return _time_in(data)

    def _seal(self, body: bytes, bound_to: str | None) -> bytes:
        address = b"" if bound_to is None else b"@" + bound_to.encode("utf-8", "surrogateescape")
        return hmac.digest(self._key, body + address, "sha256")[:16]


def _time_in(nonce: bytes) -> float:
    issued: float = struct.unpack("!d", nonce[:8])[0]
    return issued


def request_digest(proof: Proof, method: str, body: bytes) -> str:
    """Returns the request-digest (3.4.1) of what was answered; with no method, the rspauth (3.5)."""
    return response(
        proof.algorithm,
        bytes(proof.secret).decode(),
        nonce=proof.nonce,
        method=method,
        uri=proof.uri,
        qop=proof.qop,
        nonce_count=proof.nonce_count,
        cnonce=proof.cnonce,
        body=body,
    )


def rspauth(proof: Proof, body: bytes) -> str:
    """Returns what proves to the client that the server knows the secret (3.5); `body` is the response's."""
    return request_digest(proof, "", body)


def _same_resource(uri: str, request: Request) -> bool:
    """Whether the digest's uri names what the request asks for (RFC 7616 3.4.6).

    Proxies rewrite Request-URIs on the way (RFC 3261 22.4), and sipp leaves the user out, so that the host has
    to do, or where a proxy was that of To, which the Request-URI began as; method, body and nonce are covered by the
    digest itself.
    """
    try:
        given = parse_uri(uri)
    except SipParseError:
        return False
    if isinstance(given, SipUri) and isinstance(request.uri, SipUri):
        if same_host(given.host, request.uri.host):
            return True
        rewritten = len(request.vias) > 1
        return rewritten and isinstance(request.to.uri, SipUri) and same_host(given.host, request.to.uri.host)
    return uri == str(request.uri)
