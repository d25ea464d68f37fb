import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

class PacketBatch:
    """Packets in one arena, for Session.protect_batch() and unprotect_batch(), in place and without a copy.

    `arena` has the bytes (uint8). Packet i begins at `offsets[i]` (int64), is `lengths[i]` bytes long (int32) and may
    grow to `capacities[i]` (int32); `statuses[i]` (int8) says what became of it, as a PacketStatus. Packets must not
    overlap. The arrays are held as long as the batch is: they cannot be resized, but written at any time between
    calls; arrays as recvmmsg fills them can be given.

    With `count` and `capacity` the batch makes its own arrays, of as many packets of at most so many bytes (65,535 at
    most). Otherwise `arena`, `offsets` and `lengths` are given; `capacities` then reach to the next packet unless
    they are given as well. Raises ValueError, naming the array, when one is of another kind or length, and
    BufferError when one is read-only or not contiguous.
    """

    arena: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int32]
    capacities: NDArray[np.int32]
    statuses: NDArray[np.int8]
    count: int

    def __init__(
        self,
        count: int = 0,
        capacity: int = 2048,
        *,
        arena: NDArray[np.uint8] | None = None,
        offsets: NDArray[np.int64] | None = None,
        lengths: NDArray[np.int32] | None = None,
        capacities: NDArray[np.int32] | None = None,
        statuses: NDArray[np.int8] | None = None,
    ) -> None: ...
    def __len__(self) -> int: ...
    def put(self, i: int, packet: Buffer) -> None:
        """Copies a packet to place i and sets its length.

        Raises IndexError when there is no such place, and BufferTooSmallError when it has no room.
        """

    def get(self, i: int) -> bytes:
        """Returns a copy of packet i. Raises IndexError when there is none."""
