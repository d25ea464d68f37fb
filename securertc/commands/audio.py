"""What a command does with the audio of a call: keep what is heard, play what was given."""

from __future__ import annotations

import asyncio

import numpy as np

from ..call.call import Call
from ..errors import CallEndedError
from ..media.stream import Samples


class Listener:
    """Keeps everything heard in a call until its end; `samples` says how much that is."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._frames: list[Samples] = []
        self.samples = 0
        self._listening = asyncio.ensure_future(self._listen())

    @property
    def heard(self) -> Samples:
        """All samples up to now, 16-bit at 8 kHz."""
        return np.concatenate(self._frames) if self._frames else np.zeros(0, np.int16)

    async def finished(self) -> None:
        """Returns when the call has ended and all that it brought is kept."""
        await asyncio.shield(self._listening)

    async def stop(self) -> None:
        """Stops listening."""
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            try:
                frame = await self._call.receive_audio()
            except CallEndedError:
                return
            self._frames.append(frame)
            self.samples += frame.size
