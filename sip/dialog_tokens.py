"""The user part of our Record-Route: proof that a request belongs to a dialog that we let through (RFC 3261 16.6).

What a stranger sends within a dialog passes only with a Route of ours that proves it: sealed over Call-ID, the
caller's tag and the side that the Route leads to, by a key that proxies that stand for each other share. It says,
without telling, who is at both ends, so that it leads nowhere else, whoever has got hold of it. The MAC is BLAKE2b
with a key (RFC 7693 2.9), which needs no HMAC around it and takes a fifth of its time.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from hashlib import blake2b

from .errors import SipParseError
from .message import Request
from .proxy_events import Way

_MARK = "d"
_PLACE = 6  # bytes of a hash that tells a place
_SEAL = 12
_KEY = 32
_PLACES = 5
_BODY = _PLACE * _PLACES * 4 // 3
_WHOLE = 2 + _BODY + _SEAL * 4 // 3

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class DialogEnds:
    """The ends of a dialog as a proxy sees them when it is made.

    Of each end the place that its requests come from and the one that requests to it are sent to, and whether it is
    a user of ours: as caller by proof, as callee because we found him in our location service. `named` is where a
    caller says that he is reached.
    """

    caller_source: Place
    caller: Place
    caller_ours: bool
    callee_source: Place
    callee: Place
    callee_ours: bool
    named: Place


@dataclass(frozen=True, slots=True)
class DialogToken:
    """What one token proves of one request: `towards_callee` is the way that the request goes.

    `flow` is the token of the flow that holds the side it goes to, None without one.
    """

    towards_callee: bool
    flow: str | None
    caller_ours: bool
    callee_ours: bool
    _places: tuple[bytes, ...]
    _key: bytes

    @property
    def receiver_ours(self) -> bool:
        """Whether the side that the request goes to is a user of ours."""
        return self.callee_ours if self.towards_callee else self.caller_ours

    def sender_ours(self, flow: Way) -> bool:
        """Whether the request comes from where a user of ours is, who is one end of the dialog."""
        ours = self.caller_ours if self.towards_callee else self.callee_ours
        return ours and self.sent_from(flow)

    def sent_from(self, flow: Way) -> bool:
        """Whether the request comes from where its end of the dialog was when that was made."""
        return hmac.compare_digest(self._places[0 if self.towards_callee else 2], _place(self._key, source_of(flow)))

    def leads_where_named(self, place: Place | None) -> bool:
        """Whether a place is where the caller said that he is reached, and the request goes to him."""
        if self.towards_callee or place is None:
            return False
        return hmac.compare_digest(self._places[4], _place(self._key, place))

    def leads_to(self, place: Place | None) -> bool:
        """Whether a place is where the other end of the dialog is."""
        wanted = self._places[3 if self.towards_callee else 1]
        return place is not None and hmac.compare_digest(wanted, _place(self._key, place))


class DialogTokenMaker:
    """Makes the tokens of one dialog."""

    def __init__(self, key: bytes, ends: DialogEnds) -> None:
        self._key = key
        self._ours = ends.caller_ours << 1 | ends.callee_ours << 2
        places = (ends.caller_source, ends.caller, ends.callee_source, ends.callee, ends.named)
        self._places = _text(b"".join([_place(key, place) for place in places]))

    def create(self, *, to_callee: bool, flow: str | None = None) -> str:
        """Returns the token for one side of the dialog, which `flow` holds."""
        body = f"{to_callee | self._ours}{self._places}"
        return f"{_MARK}{body}{_seal(self._key, body, flow)}{flow or ''}"


class DialogTokens:
    """Makes and reads the tokens of dialogs; proxies with one `secret` read each other's."""

    def __init__(self, secret: bytes) -> None:
        self._secret = blake2b(secret, person=b"dialog tokens").digest()

    def create(self, request: Request, ends: DialogEnds) -> DialogTokenMaker:
        """Returns what makes the tokens of a dialog-forming request."""
        return DialogTokenMaker(self._key(request.call_id, request.from_.tag), ends)

    def read(self, token: str | None, request: Request) -> DialogToken | None:
        """Returns what a token proves of a request, None when it was not made for its dialog."""
        if token is None or len(token) < _WHOLE or token[0] != _MARK or not token.isascii():
            return None
        body, seal, flow = token[1 : _WHOLE - _SEAL * 4 // 3], token[_WHOLE - _SEAL * 4 // 3 : _WHOLE], token[_WHOLE:]
        try:
            tags = request.from_.tag, request.to.tag
        except SipParseError:
            return None
        for towards_callee, tag in zip((True, False), tags, strict=True):
            if tag is None and not towards_callee:
                continue
            key = self._key(request.call_id, tag)
            if not hmac.compare_digest(_seal(key, body, flow or None), seal):
                continue
            flags, hashed = int(body[0]), base64.urlsafe_b64decode(body[1:])
            places = tuple(hashed[start : start + _PLACE] for start in range(0, _PLACE * _PLACES, _PLACE))
            held = (flow or None) if bool(flags & 1) == towards_callee else None
            return DialogToken(towards_callee, held, bool(flags & 2), bool(flags & 4), places, key)
        return None

    def _key(self, call_id: str, tag: str | None) -> bytes:
        """That of one dialog: a hash of its places tells nothing of those of others."""
        text = f"{call_id}\n{tag or ''}".encode("utf-8", "surrogateescape")
        return blake2b(text, digest_size=_KEY, key=self._secret).digest()


def is_dialog_token(token: str | None) -> bool:
    """Whether the user part of a Route of ours is such a token, good or not."""
    return token is not None and token.startswith(_MARK)


def has_flow(token: str | None) -> bool:
    """Whether such a token names a flow besides."""
    return token is not None and len(token) > _WHOLE


def source_of(flow: Way) -> Place:
    """Returns where what comes by a flow is from; a connection's port is any, and another one the next time."""
    return flow.remote[0], 0 if flow.reliable else flow.remote[1]


def _place(key: bytes, place: Place) -> bytes:
    text = f"{place[0]}|{place[1]}".encode("utf-8", "surrogateescape")
    return blake2b(text, digest_size=_PLACE, key=key, person=b"place").digest()


def _seal(key: bytes, body: str, flow: str | None) -> str:
    text = f"{body}|{flow or ''}".encode("utf-8", "surrogateescape")
    return _text(blake2b(text, digest_size=_SEAL, key=key, person=b"seal").digest())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()
