"""The user part of our Record-Route: proof that a request belongs to a dialog that we let through (RFC 3261 16.6).

What a stranger sends within a dialog passes only with a Route of ours that proves it: sealed over Call-ID, the
caller's tag and the side that the Route leads to, by a key that proxies that stand for each other share. It says,
without telling, who is at both ends, so that it leads nowhere else, whoever has got hold of it. The MAC is BLAKE2b
with a key (RFC 7693 2.9), which needs no HMAC around it and takes a fifth of its time.
"""

from __future__ import annotations

import hmac
from binascii import b2a_base64
from hashlib import blake2b
from typing import NamedTuple

from ..errors import SipParseError
from ..message.message import Request
from .events import Way

_MARK = "d"
_PLACE = 6  # bytes of a hash that tells a place, which are eight characters
_SEAL = 12
_PLACES = 5
_PLACE_TEXT = _PLACE * 4 // 3
_BODY_END = 2 + _PLACE_TEXT * _PLACES
_WHOLE = _BODY_END + _SEAL * 4 // 3
_URL_SAFE = bytes.maketrans(b"+/", b"-_")

Place = tuple[str, int]


class DialogEnds(NamedTuple):
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


class DialogToken:
    """What one token proves of one request: `towards_callee` is the way that the request goes.

    `flow` is the token of the flow that holds the side it goes to, None without one.
    """

    __slots__ = ("_body", "_dialog", "_ours", "flow", "towards_callee")

    def __init__(self, body: str, flow: str | None, dialog: _Dialog, *, towards_callee: bool) -> None:
        self._body = body
        self._dialog = dialog
        self._ours = int(body[0])
        self.towards_callee = towards_callee
        self.flow = flow if bool(self._ours & 1) is towards_callee else None

    @property
    def receiver_ours(self) -> bool:
        """Whether the side that the request goes to is a user of ours."""
        return bool(self._ours & (4 if self.towards_callee else 2))

    def sender_ours(self, flow: Way) -> bool:
        """Whether the request comes from where a user of ours is, who is one end of the dialog."""
        return bool(self._ours & (2 if self.towards_callee else 4)) and self.sent_from(flow)

    def sent_from(self, flow: Way) -> bool:
        """Whether the request comes from where its end of the dialog was when that was made."""
        return self._is_place(0 if self.towards_callee else 2, place_of_flow(flow))

    def leads_where_named(self, place: Place | None) -> bool:
        """Whether a place is where the caller said that he is reached, and the request goes to him."""
        return place is not None and not self.towards_callee and self._is_place(4, place)

    def leads_to(self, place: Place | None) -> bool:
        """Whether a place is where the other end of the dialog is."""
        return place is not None and self._is_place(3 if self.towards_callee else 1, place)

    def _is_place(self, number: int, place: Place) -> bool:
        start = 1 + number * _PLACE_TEXT
        return hmac.compare_digest(self._body[start : start + _PLACE_TEXT], self._dialog.place(place))


class DialogTokenMaker:
    """Makes the tokens of one dialog."""

    def __init__(self, dialog: _Dialog, ends: DialogEnds) -> None:
        self._dialog = dialog
        self._ours = ends.caller_ours << 1 | ends.callee_ours << 2
        places = (ends.caller_source, ends.caller, ends.callee_source, ends.callee, ends.named)
        # An end is mostly reached where its requests come from.
        hashes = {place: dialog.place(place) for place in set(places)}
        self._places = "".join([hashes[place] for place in places])

    def create(self, *, to_callee: bool, flow: str | None = None) -> str:
        """Returns the token for one side of the dialog, which `flow` holds."""
        body = f"{to_callee | self._ours}{self._places}"
        return f"{_MARK}{body}{self._dialog.seal(body, flow)}{flow or ''}"


class DialogTokens:
    """Makes and reads the tokens of dialogs; proxies with one `secret` read each other's."""

    def __init__(self, secret: bytes) -> None:
        self._secret = blake2b(secret, person=b"dialog tokens").digest()

    def create(self, request: Request, ends: DialogEnds) -> DialogTokenMaker:
        """Returns what makes the tokens of a dialog-forming request."""
        return DialogTokenMaker(_Dialog(self._secret, request.call_id, request.from_tag), ends)

    def read(self, token: str | None, request: Request) -> DialogToken | None:
        """Returns what a token proves of a request, None when it was not made for its dialog."""
        if token is None or len(token) < _WHOLE or token[0] != _MARK or not token.isascii():
            return None
        try:
            from_tag, to_tag = request.from_tag, request.to_tag
        except SipParseError:
            return None
        return self._read(token, request.call_id, from_tag, towards_callee=True) or (
            None if to_tag is None else self._read(token, request.call_id, to_tag, towards_callee=False)
        )

    def _read(self, token: str, call_id: str, tag: str | None, *, towards_callee: bool) -> DialogToken | None:
        dialog = _Dialog(self._secret, call_id, tag)
        body, flow = token[1:_BODY_END], token[_WHOLE:] or None
        if not hmac.compare_digest(dialog.seal(body, flow), token[_BODY_END:_WHOLE]):
            return None
        return DialogToken(body, flow, dialog, towards_callee=towards_callee)


class _Dialog:
    """What all of one dialog is hashed with, so that a hash of its places tells nothing of those of others."""

    __slots__ = ("_secret", "_text")

    def __init__(self, secret: bytes, call_id: str, tag: str | None) -> None:
        self._secret = secret
        self._text = f"{call_id}\n{tag or ''}\n"  # neither holds a line end

    def place(self, place: Place) -> str:
        """Returns the hash that tells a place."""
        data = f"{self._text}{place[0]}|{place[1]}".encode("utf-8", "surrogateescape")
        return _text(blake2b(data, digest_size=_PLACE, key=self._secret, person=b"place").digest())

    def seal(self, body: str, flow: str | None) -> str:
        """Returns the seal of a token."""
        data = f"{self._text}{body}|{flow or ''}".encode("utf-8", "surrogateescape")
        return _text(blake2b(data, digest_size=_SEAL, key=self._secret, person=b"seal").digest())


def is_dialog_token(token: str | None) -> bool:
    """Whether the user part of a Route of ours is such a token, good or not."""
    return token is not None and token.startswith(_MARK)


def has_flow(token: str | None) -> bool:
    """Whether such a token names a flow besides."""
    return token is not None and len(token) > _WHOLE


def place_of_flow(flow: Way) -> Place:
    """Returns where what comes by a flow is from; a connection's port is any, and another one the next time."""
    return flow.remote[0], 0 if flow.reliable else flow.remote[1]


def _text(data: bytes) -> str:
    return b2a_base64(data, newline=False).translate(_URL_SAFE).decode()
