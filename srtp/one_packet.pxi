# One packet through the C core: buffers, and the error of each status.


cdef object _error(srtp_status status, const uint8_t *packet, Py_ssize_t length, bint rtcp, uint64_t index):
    """The exception for a status; packets that were too short have no SSRC to name."""
    cdef const uint8_t *p = packet + (4 if rtcp else 8)
    if status == SRTP_MALFORMED:
        kind = "RTCP" if rtcp else "RTP"
        return MalformedPacketError(f"{length} bytes are no {kind} packet under this policy")
    if status == SRTP_TOO_LONG:
        return PacketTooLongError(f"{length} bytes are more than fit in a packet of 65,535 bytes")
    if status == SRTP_NO_MEMORY:
        return MemoryError()
    if packet == NULL:
        return NoPolicyError("the session has no policy for this direction")
    ssrc = <uint32_t> p[0] << 24 | <uint32_t> p[1] << 16 | <uint32_t> p[2] << 8 | p[3]
    if status == SRTP_NO_POLICY:
        return NoPolicyError("the session has no policy for this direction and SSRC", ssrc=ssrc)
    if status == SRTP_TOO_MANY_STREAMS:
        return TooManyStreamsError(
            "the packet would bring one SSRC more than Policy.max_streams, or than the 1,024 of a policy without "
            "authentication: remove_stream() those that nobody announced", ssrc=ssrc, index=index
        )
    if status == SRTP_UNEXPECTED_CRYPTEX:
        return UnexpectedCryptexError(
            "the header extension is marked as encrypted by Cryptex: before it is protected, or where the policy has "
            "no Cryptex", ssrc=ssrc, index=index
        )
    if status == SRTP_AUTH_FAILED:
        return AuthenticationError("the authentication tag does not match", ssrc=ssrc, index=index)
    if status == SRTP_UNKNOWN_MKI:
        return UnknownMkiError("the packet carries no MKI of the policy", ssrc=ssrc, index=index)
    if status == SRTP_KEY_EXPIRED:
        return KeyExpiredError("no master key is left for the packet", ssrc=ssrc, index=index)
    if status == SRTP_REPLAYED:
        return ReplayError("the packet was received before", ssrc=ssrc, index=index)
    if status == SRTP_TOO_OLD:
        return PacketTooOldError("the packet lies before the replay window", ssrc=ssrc)
    if status == SRTP_UNENCRYPTED:
        what = "the E flag contradicts the policy" if rtcp else (
            "the header extension is not encrypted as the policy asks, or cannot be by Cryptex or RFC 6904"
        )
        return UnencryptedPacketError(what, ssrc=ssrc, index=index)
    if status == SRTP_INDEX_REUSED:
        return IndexReuseError("the index was used before", ssrc=ssrc, index=index)
    return IndexExhaustedError("the master key has no unused index left", ssrc=ssrc)


cdef object _reuse(srtp_direction *direction, uint32_t ssrc, uint64_t index):
    """Why an index of a sender counts as used."""
    cdef const srtp_replay_window *window
    cdef const srtp_stream *stream
    text = "the index was used before"
    _enter_briefly(direction)
    stream = srtp_stream_find(&direction.streams, ssrc)
    if stream == NULL:
        text = "the index was used before the sender was removed: its sequence numbers have to go on after that"
    else:
        window = &stream.rtp.window
        if stream.pinned and window.top >> 16 > stream.initial_roc:
            text = (
                f"whether packets went out under ROC {stream.initial_roc} after the state was saved is not known: "
                f"take another SSRC, or a ROC above {window.top >> 16} by set_roc()"
            )
        elif index <= window.top and window.top - index >= window.size:
            text = (
                f"the index lies {window.top - index} before the highest, and whether it was used is known for "
                f"{window.size} only, the policy's rtp_window"
            )
    _leave_briefly(&direction.lock)
    return IndexReuseError(text, ssrc=ssrc, index=index)


cdef inline Py_ssize_t _capacity(const srtp_direction *direction, Py_ssize_t length, bint grow, bint rtcp) noexcept:
    """What the result of a packet takes at the most under any policy."""
    cdef const srtp_overhead *overhead = &direction.rtcp_overhead if rtcp else &direction.rtp_overhead
    if grow:
        return length + <Py_ssize_t> overhead.most
    return length - <Py_ssize_t> overhead.least if length > <Py_ssize_t> overhead.least else 0


cdef bytes _process(
    srtp_direction *direction, srtp_operation operation, const uint8_t *data, Py_ssize_t length, bint grow, bint rtcp
):
    cdef srtp_packet packet
    cdef srtp_status status
    cdef Py_ssize_t capacity = _capacity(direction, length, grow, rtcp)
    if direction.streams.count > SRTP_NEAR_STREAMS and length >= 12:
        srtp_stream_prefetch(&direction.streams, srtp_load32(data + (4 if rtcp else 8)))  # while memory is allocated
    cdef bytes out = PyBytes_FromStringAndSize(NULL, capacity)
    packet.data = data
    packet.length = length
    packet.index = 0
    packet.out = <uint8_t *> PyBytes_AS_STRING(out)
    packet.capacity = capacity
    _enter_briefly(direction)
    status = operation(direction, &packet)
    _leave_briefly(&direction.lock)
    if status == SRTP_NO_ROOM:  # another thread added a policy between
        return _process(direction, operation, data, length, grow, rtcp)
    if status == SRTP_INDEX_REUSED:
        raise _reuse(direction, srtp_load32(data + 8), packet.index)
    if status != SRTP_OK:
        raise _error(status, data, length, rtcp, packet.index)
    return out if <Py_ssize_t> packet.out_length == capacity else out[:packet.out_length]


cdef bytes _to_bytes(srtp_direction *direction, srtp_operation operation, object packet, bint grow, bint rtcp):
    """One packet into new bytes."""
    cdef Py_buffer view
    if direction == NULL:
        raise _error(SRTP_NO_POLICY, NULL, 0, rtcp, 0)
    if PyBytes_CheckExact(packet):
        return _process(
            direction, operation, <const uint8_t *> PyBytes_AS_STRING(packet), PyBytes_GET_SIZE(packet), grow, rtcp
        )
    PyObject_GetBuffer(packet, &view, PyBUF_SIMPLE)
    try:
        return _process(direction, operation, <const uint8_t *> view.buf, view.len, grow, rtcp)
    finally:
        PyBuffer_Release(&view)


cdef Py_ssize_t _in_place(
    srtp_direction *direction, srtp_operation operation, object buffer, Py_ssize_t length, bint rtcp
) except -1:
    """One packet in the buffer it lies in; returns its new length."""
    cdef Py_buffer view
    cdef srtp_packet packet
    cdef srtp_status status
    if direction == NULL:
        raise _error(SRTP_NO_POLICY, NULL, 0, rtcp, 0)
    PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
    try:
        if length < 0:
            raise ValueError(f"length is {length}, it cannot be negative")
        if length > view.len:
            raise BufferTooSmallError(length, view.len)
        packet.data = packet.out = <uint8_t *> view.buf
        packet.length = length
        packet.capacity = view.len
        packet.index = 0
        _enter_briefly(direction)
        status = operation(direction, &packet)
        _leave_briefly(&direction.lock)
        if status == SRTP_NO_ROOM:
            raise BufferTooSmallError(packet.out_length, view.len)
        if status == SRTP_INDEX_REUSED:
            raise _reuse(direction, srtp_load32(packet.data + 8), packet.index)
        if status != SRTP_OK:
            raise _error(status, packet.data, length, rtcp, packet.index)
        return packet.out_length
    finally:
        PyBuffer_Release(&view)
