from cpython.buffer cimport Py_buffer

from srtp.engine cimport srtp_arena


cdef class PacketBatch:
    cdef readonly object arena
    cdef readonly object offsets
    cdef readonly object lengths
    cdef readonly object capacities
    cdef readonly object statuses
    cdef readonly Py_ssize_t count
    cdef Py_buffer _views[5]
    cdef int _held
    cdef srtp_arena _c

    cdef _hold(self, arrays)
