"""Several streams over one transport, as BUNDLE agrees on (RFC 9143): one socket, one handshake, one set of keys."""

from __future__ import annotations

from collections.abc import Callable

from rtp import UdpSocket, is_rtcp
from rtp.udp import Address
from sdp import NegotiatedMedia, SessionAgreement

from ..errors import NoBundleError, SecurityPolicyError
from .bundle_routing import BundleRouting, ssrc_of
from .late_keying import KeyedMedia, LateKeying, MediaPath, Send
from .session import MediaSession

_RTP_HEADER, _RTCP_HEADER = 12, 8


class MediaBundle:
    """One UDP socket for all streams of a session, usable with any signalling.

    Create it on the running event loop, add() a MediaSession for each stream, in the order of the LocalMedia, put
    `local_address` and `local_port` into all of those, and start() with what a SessionNegotiation agreed on:
    `BundlePolicy.ONLY` to offer, `ACCEPT` to answer. A peer without BUNDLE gets the first stream.
    """

    def __init__(self, host: str | MediaPath) -> None:
        """Binds a UDP port on a numeric address; raises rtp.RtpError when there is none free.

        Or takes another path, as an `IceAgent` that has gathered its candidates.
        """
        self._path: UdpSocket | MediaPath
        if isinstance(host, str):
            self._path = UdpSocket.bind(host, 0, self._received)
        else:
            self._path = host
            host.attach(self._received)
            host.on_lost = self._path_lost
        self.local_address, self.local_port = self._path.local_address
        self._sessions: list[MediaSession] = []
        self._paths: list[_StreamPath] = []
        self._keys: list[_StreamKeys] = []
        self._routing = BundleRouting()
        self._late: LateKeying | None = None
        self._keyed_media: KeyedMedia | None = None
        self._carrier: int | None = None
        # Two senders of one SSRC under one key would use its key stream twice; the second is not let out.
        self._ssrcs: dict[int, _StreamPath] = {}

    def add(self, *, packets: bool = False) -> MediaSession:
        """Returns the MediaSession of the next stream; with `packets` it is for RTP of any codec, not for audio."""
        path, keys = _StreamPath(self), _StreamKeys(self, len(self._keys))
        session = MediaSession(path, packets=packets)
        session.key_by(keys)
        self._sessions.append(session)
        self._paths.append(path)
        self._keys.append(keys)
        return session

    def key_by(self, late_keying: LateKeying) -> None:
        """Says what gets the keys of all streams by a handshake on the port, before start(), as a `DtlsMedia`."""
        self._late = late_keying
        late_keying.attach(self._send_keying, self._keyed, self._not_keyed)

    def start(self, agreement: SessionAgreement) -> None:
        """Starts the streams agreed on; again after a renegotiation.

        Raises NoBundleError when more than one stream wants a transport, SecurityPolicyError when keys are to come
        and nothing gets them, or a stream would go on in clear that was secured.
        """
        media = [agreed for agreed in agreement.media if agreed is not None]
        carriers = [agreed for agreed in media if agreed.bundled_with is None]
        if len(carriers) > 1:
            raise NoBundleError("the peer agreed on streams without a BUNDLE group")
        self._routing.update(media)
        self._carrier = carriers[0].stream if carriers else None
        for agreed in sorted(media, key=lambda one: one.bundled_with is not None):
            self._sessions[agreed.stream].start(agreed)

    def close(self, how: str = "local") -> None:
        """Closes every stream, each with its BYE, then the socket."""
        for session in self._sessions:
            session.close(how)
        if self._late is not None:
            self._late.close()
        self._path.close()

    def _path_lost(self, reason: str) -> None:
        for path in self._paths:
            path.on_lost(reason)
        self.close(reason)

    def _start_keying(self, keys: _StreamKeys, agreed: NegotiatedMedia) -> None:
        """A stream waits for keys: those of the carrier's handshake, which is begun for that one."""
        if self._late is None:
            raise SecurityPolicyError("nothing here gets the keys of the media", tier="media")
        if keys.stream == self._carrier:
            self._keyed_media = None
            self._late.start(agreed)
        elif self._keyed_media is not None:
            keys.keyed(self._keyed_media)

    def _keyed(self, keyed: KeyedMedia) -> None:
        self._keyed_media = keyed
        for keys in self._keys:
            keys.keyed(keyed)

    def _not_keyed(self, reason: str) -> None:
        for keys in self._keys:
            keys.failed(reason)

    def _send_keying(self, data: bytes, address: Address, by_rtcp_socket: bool) -> None:
        self._path.send(data, address)

    def _send(self, path: _StreamPath, data: bytes, address: Address) -> None:
        rtcp = is_rtcp(data)
        if len(data) >= (_RTCP_HEADER if rtcp else _RTP_HEADER):
            ssrc = int.from_bytes(data[4:8]) if rtcp else ssrc_of(data)
            if self._ssrcs.setdefault(ssrc, path) is not path:
                return
        self._path.send(data, address)

    def _received(self, data: bytes, address: Address) -> None:
        if self._late is not None and self._late.receive(data, address):
            return
        if is_rtcp(data):
            # A compound packet may report on several streams; each takes what is about its own SSRCs.
            for path in self._paths:
                path.received(data, address)
            return
        stream = self._routing.stream_of(data)
        if stream is not None:
            self._paths[stream].received(data, address)
            if self._sessions[stream].remote_ssrc == ssrc_of(data):
                self._routing.learn(ssrc_of(data), stream)


class _StreamPath:
    """What the MediaSession of one stream has for its sockets: a `MediaPath`."""

    def __init__(self, bundle: MediaBundle) -> None:
        self._bundle = bundle
        self.received: Callable[[bytes, Address], None] = _unheard
        self.on_lost: Callable[[str], None] = _unheard

    @property
    def local_address(self) -> Address:
        return self._bundle.local_address, self._bundle.local_port

    def attach(self, received: Callable[[bytes, Address], None]) -> None:
        self.received = received

    def send(self, data: bytes, address: Address) -> None:
        self._bundle._send(self, data, address)

    def close(self) -> None:
        """The socket is closed with the bundle."""


class _StreamKeys:
    """What the MediaSession of one stream gets its keys by: a `LateKeying` that shares one handshake with others."""

    def __init__(self, bundle: MediaBundle, stream: int) -> None:
        self._bundle = bundle
        self.stream = stream
        self.keyed: Callable[[KeyedMedia], None] = _unheard
        self.failed: Callable[[str], None] = _unheard

    def attach(self, send: Send, keyed: Callable[[KeyedMedia], None], failed: Callable[[str], None]) -> None:
        self.keyed, self.failed = keyed, failed

    def start(self, agreed: NegotiatedMedia) -> None:
        self._bundle._start_keying(self, agreed)

    def receive(self, data: bytes, source: Address, *, by_rtcp_socket: bool = False) -> bool:
        return False  # the bundle has looked at it before

    def close(self) -> None:
        """The handshake's association is ended with the bundle."""


def _unheard(_: object, __: object = None) -> None:
    """Before attach()."""
