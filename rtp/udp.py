"""The edge to the network: a UDP socket that asyncio wakes and that is then read until it is empty."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from .errors import RtpError

Address = tuple[str, int]
MAX_DATAGRAM = 65535
# Enough to empty a burst, few enough to let other tasks of the loop run.
MAX_DATAGRAMS_PER_WAKE_UP = 64
_PAIR_ATTEMPTS = 100


class UdpSocket:
    """A bound UDP socket; `received(data, address)` is called for every datagram.

    Faster than asyncio's own datagram transport, whose cost lies in receiving. Datagrams that the socket
    cannot take at once when sending are dropped, as the network would; ICMP errors are counted and ignored.
    """

    def __init__(self, sock: socket.socket, received: Callable[[bytes, Address], None]) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._received = received
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._read)
        self.errors = 0
        self.dropped = 0

    @classmethod
    def bind(cls, host: str, port: int, received: Callable[[bytes, Address], None]) -> UdpSocket:
        """Binds to a local address (port 0: any free one); raises OSError as bind() does."""
        return cls(bind_udp(host, port), received)

    @property
    def local_address(self) -> Address:
        """The address bound to."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._socket.fileno() < 0

    def send(self, data: bytes | bytearray | memoryview, address: Address) -> None:
        """Sends one datagram; does nothing after close()."""
        if self.closed:
            return
        try:
            self._socket.sendto(data, address)
        except BlockingIOError:
            self.dropped += 1
        except OSError:
            self.errors += 1

    def close(self) -> None:
        """Closes the socket; no datagram is delivered afterwards."""
        if not self.closed:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _read(self) -> None:
        for _ in range(MAX_DATAGRAMS_PER_WAKE_UP):
            if self.closed:
                return
            try:
                data, address = self._socket.recvfrom(MAX_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                # An ICMP error of something sent earlier; the socket goes on.
                self.errors += 1
                continue
            self._received(data, address[:2])


def bind_udp(host: str, port: int) -> socket.socket:
    """Returns a UDP socket bound to a numeric IPv4 or IPv6 address; raises OSError as bind() does."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def bind_rtp_pair(host: str) -> tuple[socket.socket, socket.socket]:
    """Returns sockets on an even port for RTP and the next higher one for RTCP (RFC 3550 11).

    Raises RtpError when no pair was free in 100 attempts.
    """
    for _ in range(_PAIR_ATTEMPTS):
        rtp = bind_udp(host, 0)
        port = rtp.getsockname()[1]
        if port % 2 == 0 and port < 65535:
            with contextlib.suppress(OSError):
                return rtp, bind_udp(host, port + 1)
        rtp.close()
    raise RtpError(f"no free pair of UDP ports on {host}")
