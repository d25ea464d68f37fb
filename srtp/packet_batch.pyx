# cython: language_level=3
# cython: freethreading_compatible=True
"""Many packets in one arena; see packet_batch.pyi."""

from cpython.buffer cimport PyBUF_CONTIG, PyBUF_FORMAT, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t
from libc.string cimport memcpy

from .errors import BufferTooSmallError

_NAMES = ("arena", "offsets", "lengths", "capacities", "statuses")
_TYPES = ("uint8", "int64", "int32", "int32", "int8")


cdef class PacketBatch:

    def __init__(self, count=0, capacity=2048, *, arena=None, offsets=None, lengths=None, capacities=None,
                 statuses=None):
        import numpy as np  # here, so that whoever has single packets needs no numpy

        if self._held:
            raise RuntimeError("a PacketBatch is initialised once")
        given = [array is not None for array in (arena, offsets, lengths)]
        if any(given) and not all(given):
            raise ValueError("arena, offsets and lengths are given together, or none of them")
        if arena is None:
            if count < 0 or not 0 <= capacity <= 65535:
                raise ValueError(f"{count} packets of {capacity} bytes cannot be: 0 to 65,535 bytes are a packet")
            arena = np.zeros(count * capacity, np.uint8)
            offsets = np.arange(count, dtype=np.int64) * capacity
            lengths = np.zeros(count, np.int32)
            capacities = np.full(count, capacity, np.int32)
        elif capacities is None:
            # As far as the next packet; the last one to the arena's end.
            capacities = np.minimum(np.diff(offsets, append=len(arena)), 65535).astype(np.int32)
            if (capacities < 0).any():
                raise ValueError("offsets must ascend, and lie within the arena, where no capacities are given")
        if statuses is None:
            statuses = np.zeros(len(lengths), np.int8)
        self.arena, self.offsets, self.lengths = arena, offsets, lengths
        self.capacities, self.statuses = capacities, statuses
        self._hold((arena, offsets, lengths, capacities, statuses))

    cdef _hold(self, arrays):
        import numpy as np

        for name, array, kind in zip(_NAMES, arrays, _TYPES):
            if not isinstance(array, np.ndarray) or array.dtype != kind or array.ndim != 1:
                raise ValueError(f"{name} must be a one-dimensional numpy array of {kind}")
            if name != "arena" and len(array) != len(arrays[2]):
                raise ValueError(f"{name} has {len(array)} entries, lengths has {len(arrays[2])}")
            PyObject_GetBuffer(array, &self._views[self._held], PyBUF_CONTIG | PyBUF_FORMAT)
            self._held += 1
        self.count = len(arrays[2])
        self._c.bytes = <uint8_t *> self._views[0].buf
        self._c.size = self._views[0].len
        self._c.offsets = <int64_t *> self._views[1].buf
        self._c.lengths = <int32_t *> self._views[2].buf
        self._c.capacities = <int32_t *> self._views[3].buf
        self._c.statuses = <int8_t *> self._views[4].buf

    def __dealloc__(self):
        cdef int i
        for i in range(self._held):
            PyBuffer_Release(&self._views[i])

    def __len__(self):
        return self.count

    def __repr__(self):
        return f"<srtp.PacketBatch of {self.count} packets in {self._c.size} bytes>"

    def put(self, Py_ssize_t i, const unsigned char[::1] packet not None):
        cdef Py_ssize_t length = len(packet)
        if not 0 <= i < self.count:
            raise IndexError(f"there is no packet {i} among {self.count}")
        if length > self._c.capacities[i]:
            raise BufferTooSmallError(length, self._c.capacities[i])
        cdef int64_t offset = self._c.offsets[i]
        if not 0 <= offset <= <int64_t> self._c.size - self._c.capacities[i]:
            raise ValueError(f"packet {i} does not lie within the arena")
        if length:
            memcpy(self._c.bytes + offset, &packet[0], length)
        self._c.lengths[i] = <int32_t> length

    def get(self, Py_ssize_t i):
        if not 0 <= i < self.count:
            raise IndexError(f"there is no packet {i} among {self.count}")
        cdef int64_t offset = self._c.offsets[i]
        cdef int32_t length = self._c.lengths[i]
        if length < 0 or not 0 <= offset <= <int64_t> self._c.size - length:
            raise ValueError(f"packet {i} does not lie within the arena")
        return (<char *> self._c.bytes)[offset:offset + length]
