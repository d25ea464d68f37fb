"""aiortc as a WebRTC peer on loopback: full ICE, DTLS-SRTP by pyOpenSSL and libsrtp, G.711 audio with a tone."""

from __future__ import annotations

import asyncio
import contextlib
import fractions
import time
from typing import Any

import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from av import AudioFrame, VideoFrame
from numpy.typing import NDArray

from .tones import tone

_FRAME = 160


class _ToneTrack(MediaStreamTrack):  # type: ignore[misc]  # aiortc is not typed strictly
    kind = "audio"

    def __init__(self, frequency: float) -> None:
        super().__init__()
        self._samples = tone(frequency, 60.0)
        self._at = 0
        self._began = time.monotonic()

    async def recv(self) -> AudioFrame:
        await asyncio.sleep(max(0.0, self._began + self._at / 8000 - time.monotonic()))
        samples = self._samples[self._at : self._at + _FRAME]
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 8000, self._at, fractions.Fraction(1, 8000)
        self._at += _FRAME
        return frame


class _PictureTrack(MediaStreamTrack):  # type: ignore[misc]
    """Twenty grey pictures a second, ever brighter."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._number = 0

    async def recv(self) -> VideoFrame:
        await asyncio.sleep(0.05)
        picture = np.full((48, 64, 3), self._number % 200, np.uint8)
        frame = VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = self._number * 4500, fractions.Fraction(1, 90000)
        self._number += 1
        return frame


class AiortcPeer:
    """One peer connection with a tone to send, and pictures where `video` asks for them.

    `heard` are the samples it decoded, at 8 kHz; `seen` the sizes of the pictures.
    """

    def __init__(self, frequency: float, *, video: bool = False) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.connection.addTrack(_ToneTrack(frequency))
        if video:
            self.connection.addTrack(_PictureTrack())
        self.heard: list[NDArray[np.int16]] = []
        self.seen: list[tuple[int, int]] = []
        self._listening: list[asyncio.Task[None]] = []
        self.connection.on("track", self._listen)

    async def __aenter__(self) -> AiortcPeer:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        await self.connection.close()

    async def offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def take_answer(self, text: str) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(text, "answer"))

    async def answer(self, text: str) -> str:
        await self.connection.setRemoteDescription(RTCSessionDescription(text, "offer"))
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        return str(self.connection.localDescription.sdp)

    async def await_state(self, state: str, *, seconds: float = 10.0) -> None:
        """Returns once the connection is in a state; raises AssertionError when that takes too long."""
        end = time.monotonic() + seconds
        while self.connection.connectionState != state:
            assert time.monotonic() < end, f"aiortc is {self.connection.connectionState}, not {state}"
            await asyncio.sleep(0.02)

    async def hear(self, *, seconds: float) -> NDArray[np.int16]:
        """Returns what it has decoded, once that is so long."""
        end = time.monotonic() + seconds + 10
        while sum(map(len, self.heard)) < seconds * 8000:
            assert time.monotonic() < end, "aiortc hears too little"
            await asyncio.sleep(0.05)
        return np.concatenate(self.heard)

    @property
    def keying_material(self) -> bytes:
        """What its own DTLS exports, long enough for any profile."""
        return self._dtls._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 120)  # type: ignore[no-any-return]

    @property
    def profile(self) -> bytes:
        """The protection profile that its DTLS selected, as OpenSSL names it."""
        return self._dtls._ssl.get_selected_srtp_profile()  # type: ignore[no-any-return]

    @property
    def is_client(self) -> bool:
        return bool(self._dtls._role == "client")

    @property
    def _dtls(self) -> Any:
        return self.connection.getSenders()[0].transport

    def _listen(self, track: MediaStreamTrack) -> None:
        self._listening.append(asyncio.ensure_future(self._hear(track) if track.kind == "audio" else self._see(track)))

    async def _see(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(Exception):  # the track ends by an error of its own
            while True:
                frame = await track.recv()
                self.seen.append((frame.width, frame.height))

    async def _hear(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(Exception):  # the track ends by an error of its own
            while True:
                frame = await track.recv()
                samples = frame.to_ndarray().reshape(-1)
                self.heard.append(samples[:: len(frame.layout.channels)].astype(np.int16))
