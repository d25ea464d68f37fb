# cython: language_level=3
"""Sessions: bytes in, bytes out, over the C core."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from srtp.engine cimport (
    SRTP_AUTH_FAILED,
    SRTP_INDEX_REUSED,
    SRTP_MALFORMED,
    SRTP_NO_MEMORY,
    SRTP_NO_POLICY,
    SRTP_OK,
    SRTP_REPLAYED,
    SRTP_TOO_LONG,
    SRTP_TOO_OLD,
    SRTP_UNENCRYPTED,
    SRTP_UNKNOWN_MKI,
    srtp_counters,
    srtp_direction,
    srtp_direction_free,
    srtp_direction_new,
    srtp_index_space,
    srtp_kernels,
    srtp_kernels_available,
    srtp_kernels_select,
    srtp_operation,
    srtp_parameters,
    srtp_protect,
    srtp_protect_rtcp,
    srtp_replay_check,
    srtp_replay_move,
    srtp_rtcp_overhead,
    srtp_rtp_overhead,
    srtp_status,
    srtp_stream,
    srtp_stream_find,
    srtp_stream_insert,
    srtp_stream_new,
    srtp_stream_remove,
    srtp_unprotect,
    srtp_unprotect_rtcp,
)

from .errors import (
    AuthenticationError,
    BufferTooSmallError,
    IndexExhaustedError,
    IndexReuseError,
    MalformedPacketError,
    NoPolicyError,
    PacketTooLongError,
    PacketTooOldError,
    PolicyError,
    ReplayError,
    UnencryptedPacketError,
    UnknownMkiError,
)
from .state import Direction, DirectionState, PacketCounters, ReplayState, StreamState


def available_kernels():
    """Returns the names of the kernel tables that this CPU can run, best first."""
    cdef const srtp_kernels *table = srtp_kernels_available(0)
    names = []
    while table != NULL:
        names.append(table.name.decode())
        table = srtp_kernels_available(len(names))
    return tuple(names)


cdef object _error(srtp_status status, const uint8_t *packet, Py_ssize_t length, bint rtcp, uint64_t index):
    """The exception for a status; packets that were too short have no SSRC to name."""
    cdef const uint8_t *p = packet + (4 if rtcp else 8)
    if status == SRTP_NO_POLICY:
        return NoPolicyError("the session has no policy for this direction")
    if status == SRTP_MALFORMED:
        kind = "RTCP" if rtcp else "RTP"
        return MalformedPacketError(f"{length} bytes are no {kind} packet under this policy")
    if status == SRTP_TOO_LONG:
        return PacketTooLongError(f"{length} bytes are more than fit in a packet of 65,535 bytes")
    if status == SRTP_NO_MEMORY:
        return MemoryError()
    ssrc = <uint32_t> p[0] << 24 | <uint32_t> p[1] << 16 | <uint32_t> p[2] << 8 | p[3]
    if status == SRTP_AUTH_FAILED:
        return AuthenticationError("the authentication tag does not match", ssrc=ssrc, index=index)
    if status == SRTP_UNKNOWN_MKI:
        return UnknownMkiError("the packet does not carry the MKI of the policy", ssrc=ssrc, index=index)
    if status == SRTP_REPLAYED:
        return ReplayError("the packet was received before", ssrc=ssrc, index=index)
    if status == SRTP_TOO_OLD:
        return PacketTooOldError("the packet lies before the replay window", ssrc=ssrc)
    if status == SRTP_UNENCRYPTED:
        return UnencryptedPacketError("the E flag contradicts the policy", ssrc=ssrc, index=index)
    if status == SRTP_INDEX_REUSED:
        return IndexReuseError("the index was used before", ssrc=ssrc)
    return IndexExhaustedError("the master key has no unused index left", ssrc=ssrc)


cdef bytes _to_bytes(srtp_direction *direction, srtp_operation operation, object packet, bint grow, bint rtcp):
    """One packet into new bytes; its length changes by the overhead, known beforehand."""
    cdef Py_buffer view
    cdef const uint8_t *data
    cdef Py_ssize_t length, overhead
    cdef bint held = False
    cdef size_t out_length = 0
    cdef uint64_t index = 0
    cdef srtp_status status
    cdef bytes out
    if direction == NULL:
        raise _error(SRTP_NO_POLICY, NULL, 0, rtcp, 0)
    if PyBytes_CheckExact(packet):
        data = <const uint8_t *> PyBytes_AS_STRING(packet)
        length = PyBytes_GET_SIZE(packet)
    else:
        PyObject_GetBuffer(packet, &view, PyBUF_SIMPLE)
        held = True
        data = <const uint8_t *> view.buf
        length = view.len
    try:
        overhead = srtp_rtcp_overhead(direction) if rtcp else srtp_rtp_overhead(direction)
        out = PyBytes_FromStringAndSize(NULL, length + overhead if grow else max(length - overhead, 0))
        status = operation(direction, data, length, <uint8_t *> PyBytes_AS_STRING(out), &out_length, &index)
        if status != SRTP_OK:
            raise _error(status, data, length, rtcp, index)
        return out
    finally:
        if held:
            PyBuffer_Release(&view)


cdef Py_ssize_t _in_place(
    srtp_direction *direction, srtp_operation operation, object buffer, Py_ssize_t length, bint grow, bint rtcp
) except -1:
    """One packet in the buffer it lies in; returns its new length."""
    cdef Py_buffer view
    cdef Py_ssize_t needed
    cdef size_t out_length = 0
    cdef uint64_t index = 0
    cdef srtp_status status
    if direction == NULL:
        raise _error(SRTP_NO_POLICY, NULL, 0, rtcp, 0)
    PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
    try:
        needed = length
        if grow:
            needed += srtp_rtcp_overhead(direction) if rtcp else srtp_rtp_overhead(direction)
        if length < 0:
            raise ValueError(f"length is {length}, it cannot be negative")
        if needed > view.len:
            raise BufferTooSmallError(needed, view.len)
        status = operation(
            direction, <const uint8_t *> view.buf, length, <uint8_t *> view.buf, &out_length, &index
        )
        if status != SRTP_OK:
            raise _error(status, <const uint8_t *> view.buf, length, rtcp, index)
        return out_length
    finally:
        PyBuffer_Release(&view)


cdef object _counters(const srtp_counters *c):
    return PacketCounters(
        c.processed, c.malformed, c.authentication_failures, c.replays, c.too_old, c.unknown_mki, c.refused
    )


cdef object _replay(const srtp_index_space *space):
    cdef uint64_t i
    window = 0
    for i in range(space.window.size):
        if i <= space.window.top and srtp_replay_check(&space.window, space.window.top - i) == SRTP_REPLAYED:
            window |= 1 << i
    return ReplayState(bool(space.window.started), space.window.top, window)


cdef class Session:
    """The two directions of one RTP session; see session.pyi."""

    cdef srtp_direction *_outbound
    cdef srtp_direction *_inbound
    cdef const srtp_kernels *_kernels
    cdef readonly object outbound_policy
    cdef readonly object inbound_policy

    def __cinit__(self, outbound, inbound, *, kernels=None):
        cdef bytes name = None if kernels is None else kernels.encode()
        self._kernels = srtp_kernels_select(NULL if name is None else <const char *> name)
        if self._kernels == NULL:
            chosen = "the table that SRTP_KERNELS names" if kernels is None else repr(kernels)
            raise PolicyError(f"{chosen} is none of the kernels of this CPU: {', '.join(available_kernels())}")
        if outbound is None and inbound is None:
            raise PolicyError("a session needs a policy for at least one direction")
        self.outbound_policy = outbound
        self.inbound_policy = inbound
        self._outbound = self._direction_of(outbound, True)
        self._inbound = self._direction_of(inbound, False)

    def __dealloc__(self):
        srtp_direction_free(self._outbound)
        srtp_direction_free(self._inbound)

    def __reduce__(self):
        raise TypeError("a Session cannot be pickled or copied: it holds keys and indexes")

    def __repr__(self):
        names = [policy.profile.name if policy is not None else "none"
                 for policy in (self.outbound_policy, self.inbound_policy)]
        return f"<srtp.Session outbound={names[0]} inbound={names[1]}>"

    @property
    def kernels(self):
        return self._kernels.name.decode()

    cdef srtp_direction *_direction_of(self, policy, bint sends) except? NULL:
        cdef srtp_parameters parameters
        cdef srtp_direction *direction
        cdef Py_buffer key, salt
        if policy is None:
            return NULL
        memset(&parameters, 0, sizeof(parameters))
        profile = policy.profile
        parameters.encrypt = profile.encrypts
        parameters.key_length = profile.master_key_length
        parameters.rtp_tag_length = profile.rtp_tag_length
        parameters.rtcp_tag_length = profile.rtcp_tag_length
        parameters.rtp_window = policy.rtp_window
        parameters.rtcp_window = policy.rtcp_window
        parameters.allow_repeat_tx = sends and policy.allow_repeat_tx
        mki = policy.mki
        parameters.mki_length = len(mki)
        memcpy(parameters.mki, <const char *> mki, len(mki))
        PyObject_GetBuffer(policy.master_key, &key, PyBUF_SIMPLE)
        try:
            PyObject_GetBuffer(policy.master_salt, &salt, PyBUF_SIMPLE)
            try:
                direction = srtp_direction_new(
                    self._kernels, &parameters, <const uint8_t *> key.buf, <const uint8_t *> salt.buf
                )
            finally:
                PyBuffer_Release(&salt)
        finally:
            PyBuffer_Release(&key)
        if direction == NULL:
            raise MemoryError()
        return direction

    def protect(self, packet):
        return _to_bytes(self._outbound, srtp_protect, packet, True, False)

    def unprotect(self, packet):
        return _to_bytes(self._inbound, srtp_unprotect, packet, False, False)

    def protect_rtcp(self, packet):
        return _to_bytes(self._outbound, srtp_protect_rtcp, packet, True, True)

    def unprotect_rtcp(self, packet):
        return _to_bytes(self._inbound, srtp_unprotect_rtcp, packet, False, True)

    def protect_into(self, buffer, Py_ssize_t length):
        return _in_place(self._outbound, srtp_protect, buffer, length, True, False)

    def unprotect_into(self, buffer, Py_ssize_t length):
        return _in_place(self._inbound, srtp_unprotect, buffer, length, False, False)

    def protect_rtcp_into(self, buffer, Py_ssize_t length):
        return _in_place(self._outbound, srtp_protect_rtcp, buffer, length, True, True)

    def unprotect_rtcp_into(self, buffer, Py_ssize_t length):
        return _in_place(self._inbound, srtp_unprotect_rtcp, buffer, length, False, True)

    cdef srtp_direction *_existing(self, direction) except NULL:
        found = self._outbound if Direction(direction) is Direction.OUTBOUND else self._inbound
        if found == NULL:
            raise _error(SRTP_NO_POLICY, NULL, 0, False, 0)
        return found

    def roc(self, uint32_t ssrc, direction):
        cdef srtp_direction *d = self._existing(direction)
        cdef srtp_stream *stream = srtp_stream_find(&d.streams, ssrc)
        if stream == NULL:
            return None
        return stream.rtp.window.top >> 16 if stream.rtp.window.started else stream.initial_roc

    def set_roc(self, uint32_t ssrc, direction, uint32_t roc):
        cdef srtp_direction *d = self._existing(direction)
        cdef srtp_stream *stream = srtp_stream_find(&d.streams, ssrc)
        cdef bint sends = d == self._outbound
        cdef uint64_t top
        if stream == NULL:
            stream = srtp_stream_new(d, ssrc, sends and d.parameters.allow_repeat_tx)
            if stream == NULL or srtp_stream_insert(&d.streams, stream) != 0:
                raise MemoryError()
        if not stream.rtp.window.started:
            stream.initial_roc = roc
            return
        top = <uint64_t> roc << 16 | stream.rtp.window.top & 0xffff
        if top == stream.rtp.window.top:
            return
        if sends and top < stream.rtp.window.top:
            raise IndexReuseError(
                f"a sender's ROC can only grow: it is {stream.rtp.window.top >> 16}, not {roc}", ssrc=ssrc
            )
        srtp_replay_move(&stream.rtp.window, top)

    def remove_stream(self, uint32_t ssrc, direction):
        return bool(srtp_stream_remove(&self._existing(direction).streams, ssrc))

    def state(self, direction):
        cdef srtp_direction *d = self._existing(direction)
        cdef srtp_stream *stream
        cdef size_t i
        streams = []
        for i in range(d.streams.capacity):
            stream = d.streams.slots[i]
            if stream != NULL:
                streams.append(StreamState(
                    stream.ssrc,
                    stream.rtp.window.top >> 16 if stream.rtp.window.started else stream.initial_roc,
                    _replay(&stream.rtp),
                    _replay(&stream.rtcp),
                    _counters(&stream.rtp.counters),
                    _counters(&stream.rtcp.counters),
                ))
        streams.sort(key=lambda value: value.ssrc)
        return DirectionState(tuple(streams), _counters(&d.rtp), _counters(&d.rtcp))
