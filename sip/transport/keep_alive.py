"""Keeping a flow alive and noticing its end (RFC 5626 4.4), sans-IO: CRLF over connections, STUN over UDP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sdp.errors import StunError
from sdp.ice import StunAttribute, StunClass, StunMessage, decode_xor_address, encode_error, encode_xor_address
from srtp.field_checks import check_fields

from ..errors import SipParseError
from ..message.grammar import parse_number
from ..message.message import Response

PING = b"\r\n\r\n"
PONG_TIMEOUT = 10.0
# Of STUN (RFC 8489 6.2.1): the first interval, the number of sendings, and how many intervals the last one waits.
STUN_RTO = 0.5
STUN_SENDINGS = 7
STUN_LAST_WAIT = 16
CONNECTION_INTERVAL = (95.0, 120.0)
DATAGRAM_INTERVAL = (24.0, 29.0)
MAX_FLOW_TIMER = 86400

# Returns a number between two bounds.
Uniform = Callable[[float, float], float]


@dataclass(frozen=True, slots=True)
class KeepAliveTimes:
    """Seconds: between keep-alives where the server says nothing, and until a lack of answer counts."""

    connection_interval: tuple[float, float] = CONNECTION_INTERVAL
    datagram_interval: tuple[float, float] = DATAGRAM_INTERVAL
    pong_timeout: float = PONG_TIMEOUT
    stun_rto: float = STUN_RTO

    def __post_init__(self) -> None:
        check_fields(self)

    def interval(self, flow_timer: int | None, *, reliable: bool) -> tuple[float, float]:
        """Returns the bounds of the interval (4.4): 80 to 100 % of the server's Flow-Timer, or our own."""
        if flow_timer is not None:
            return 0.8 * flow_timer, float(flow_timer)
        return self.connection_interval if reliable else self.datagram_interval


DEFAULT_KEEP_ALIVE_TIMES = KeepAliveTimes()


def flow_timer_of(response: Response) -> int | None:
    """Returns the seconds of a response's Flow-Timer, None without a usable one."""
    value = response.headers.get("Flow-Timer")
    try:
        return None if value is None else parse_number(value.strip(), MAX_FLOW_TIMER, "Flow-Timer") or None
    except SipParseError:
        return None


class CrlfKeepAlive:
    """The pings of one connection (4.4.1).

    handle_timer() at next_timer() returns what to send, heard() takes note that something came. `failure` says why
    the flow has failed, None as long as it has not; `answered` whether a ping ever was.
    """

    def __init__(self, now: float, interval: tuple[float, float], times: KeepAliveTimes, uniform: Uniform) -> None:
        self._interval = interval
        self._timeout = times.pong_timeout
        self._uniform = uniform
        self._due = now + uniform(*interval)
        self._waiting = False
        self.failure: str | None = None
        self.answered = False

    def next_timer(self) -> float:
        """When handle_timer() wants to be called."""
        return self._due

    def handle_timer(self, now: float) -> bytes | None:
        """Returns the ping that is due, or None."""
        if now < self._due or self.failure is not None:
            return None
        if self._waiting:
            self.failure = f"no answer to a keep-alive in {self._timeout:g} s"
            return None
        self._waiting, self._due = True, now + self._timeout
        return PING

    def heard(self, now: float) -> None:
        """Takes note of bytes from the peer: a pong, or what shows as well that it is there."""
        if self._waiting:
            self._waiting, self.answered = False, True
            self._due = now + self._uniform(*self._interval)


class StunKeepAlive:
    """The Binding requests of one UDP flow (4.4.2); used as CrlfKeepAlive, with receive() for what STUN comes."""

    def __init__(self, now: float, interval: tuple[float, float], times: KeepAliveTimes, uniform: Uniform) -> None:
        self._interval = interval
        self._rto = times.stun_rto
        self._uniform = uniform
        self._due = now + uniform(*interval)
        self._request: StunMessage | None = None
        self._sent = 0
        self.mapped: tuple[str, int] | None = None
        self.failure: str | None = None
        self.answered = False

    def next_timer(self) -> float:
        """When handle_timer() wants to be called."""
        return self._due

    def handle_timer(self, now: float) -> bytes | None:
        """Returns the request that is due, or due once more, or None."""
        if now < self._due or self.failure is not None:
            return None
        if self._request is None:
            self._request, self._sent = StunMessage(StunClass.REQUEST), 0
        if self._sent == STUN_SENDINGS:
            self.failure = f"no answer to {STUN_SENDINGS} STUN requests"
            return None
        self._sent += 1
        wait = STUN_LAST_WAIT if self._sent == STUN_SENDINGS else 2 ** (self._sent - 1)
        self._due = now + self._rto * wait
        return self._request.serialize()

    def heard(self, now: float) -> None:
        """Other messages do not count: they may come by another mapping of the NAT."""

    def receive(self, data: bytes, now: float) -> None:
        """Takes a STUN message from the peer; what answers no request of ours changes nothing."""
        try:
            message = StunMessage.parse(data)
            if self._request is None or message.transaction_id != self._request.transaction_id:
                return
            if message.message_class is StunClass.ERROR:
                self.failure = "the keep-alive was answered with an error"
            elif message.message_class is StunClass.SUCCESS:
                value = message.attribute(StunAttribute.XOR_MAPPED_ADDRESS) or b""
                self._succeeded(decode_xor_address(value, message.transaction_id), now)
        except StunError:
            return

    def _succeeded(self, mapped: tuple[str, int], now: float) -> None:
        if self.mapped is not None and mapped != self.mapped:
            self.failure = "our address at the NAT has changed"
            return
        self.mapped, self._request, self.answered = mapped, None, True
        self._due = now + self._uniform(*self._interval)


KeepAliveOfFlow = CrlfKeepAlive | StunKeepAlive


def answer_binding(data: bytes, source: tuple[str, int]) -> bytes | None:
    """Returns the answer to a STUN Binding request on a SIP port (RFC 5626 8), None to anything else."""
    try:
        request = StunMessage.parse(data)
        if request.message_class is not StunClass.REQUEST or request.method != 1:
            return None
        if request.unknown_attributes:
            refusal = ((int(StunAttribute.ERROR_CODE), encode_error(420, "Unknown Attribute")),)
            answer = StunMessage(StunClass.ERROR, transaction_id=request.transaction_id, attributes=refusal)
        else:
            value = encode_xor_address(source, request.transaction_id)
            mapped = ((int(StunAttribute.XOR_MAPPED_ADDRESS), value),)
            answer = StunMessage(StunClass.SUCCESS, transaction_id=request.transaction_id, attributes=mapped)
        return answer.serialize(fingerprint=request.has_fingerprint)
    except (StunError, ValueError):
        return None
