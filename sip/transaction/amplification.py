"""How much is sent to a UDP source that has proven nothing: a forged address must not make us a weapon.

Over UDP anybody can write anybody's address. Until something comes back that only who sits there can know (the nonce
of a challenge, the tag or the Route of a dialog), no more is sent there than three times what came from there, as QUIC
has it (RFC 9000 8.1); what RFC 3261 13.3.1.4 has repeated until its ACK is counted instead.
"""

from __future__ import annotations

from ..errors import SipParseError
from ..message.headers import Headers
from ..message.message import Message, Request, Response

FACTOR = 3
# How often a 2xx to an INVITE is sent in all, of the eleven times of 13.3.1.4: at T1 doubling to T2, for 20 seconds.
# With a fifth of all datagrams lost at each of three hops calls still come about; with fewer they fail.
MAX_SUCCESSES = 8


def size_of(request: Request) -> int:
    """Returns how many bytes a request was at least as it came: as its parser counted, else by its parts."""
    if request.headers.size:
        return request.headers.size + len(request.body)
    rows = request.headers.rows
    texts = [name + value for _, name, value in rows]
    return len(request.method) + len(request.uri_text) + len("".join(texts)) + 3 * len(rows) + len(request.body) + 14


class Allowance:
    """What may be sent to the source of one request; `received` is the bytes that it was."""

    __slots__ = ("_bytes", "_successes")

    def __init__(self, received: int) -> None:
        self._bytes = FACTOR * received
        self._successes = MAX_SUCCESSES

    def add(self, other: Allowance) -> None:
        """Takes note that a retransmission came, which allows as much as `other`."""
        self._bytes += other._bytes

    def admits(self, size: int, *, provisional: bool = False, repeated: bool = False) -> bool:
        """Whether `size` bytes may be sent, and takes note that they are; `repeated` for a 2xx to an INVITE.

        A provisional response has to leave room for a final one like it, without which its caller would wait.
        """
        if repeated:
            self._successes -= 1
            return self._successes >= 0
        if size * (2 if provisional else 1) > self._bytes:
            return False
        self._bytes -= size
        return True


_CHALLENGES = ("Proxy-Authenticate", "WWW-Authenticate")
_NEEDED = frozenset(("via", "from", "to", "call-id", "cseq", *(name.lower() for name in _CHALLENGES)))


def shortened(response: Response, allowance: Allowance) -> bytes | None:
    """Returns a refusal that is too long for its request without what it can do without, as far as that helps.

    That is all that explains it, and then of the challenges the later ones, which are preferred less. None when it
    is too long even so.
    """
    if response.status < 300:
        return None
    rows = [row for row in response.headers.rows if row[0] in _NEEDED]
    short = Response(response.status, response.reason, Headers.of_checked(rows, {}))
    while not allowance.admits(len(data := short.serialize())):
        for index in reversed(range(len(rows))):
            key = rows[index][0]
            if key.endswith("-authenticate") and sum(row[0] == key for row in rows) > 1:
                del rows[index]
                break
        else:
            return None
        short.headers = Headers.of_checked(rows, {})
    return data


def mark_stateless(request: Request, response: Response, tag: str) -> None:
    """Gives a response of no transaction the To tag that a retransmission of its request gets as well (8.2.7)."""
    try:
        if request.to.tag is None and response.status > 100:
            response.headers.set("To", f"{request.headers.get('To')};tag={tag}")
    except SipParseError:
        return  # goes back as it came


def tags_of(message: Message) -> tuple[str, str, str]:
    """Returns Call-ID and tags as the text has them: what a 2xx and its ACK have in common, told without parsing.

    Who writes them in other words has proven less than he could.
    """
    get = message.headers.get
    return get("Call-ID") or "", _tag_text(get("To") or ""), _tag_text(get("From") or "")


def _tag_text(value: str) -> str:
    return value.rpartition(";tag=")[2].partition(";")[0]
