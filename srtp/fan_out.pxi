# One packet to many sessions, by the batch kernels.


cdef _rewrite_header(uint8_t *p, target):
    """Puts into an RTP header what a FanoutTarget has."""
    cdef uint32_t v
    if target.payload_type is not None:
        p[1] = p[1] & 0x80 | <uint8_t> (target.payload_type & 0x7f)
    if target.sequence_number is not None:
        v = target.sequence_number & 0xffff
        p[2], p[3] = v >> 8, v & 0xff
    if target.timestamp is not None:
        v = target.timestamp & 0xffffffff
        p[4], p[5], p[6], p[7] = v >> 24, v >> 16 & 0xff, v >> 8 & 0xff, v & 0xff
    if target.ssrc is not None:
        v = target.ssrc & 0xffffffff
        p[8], p[9], p[10], p[11] = v >> 24, v >> 16 & 0xff, v >> 8 & 0xff, v & 0xff


def protect_fanout(const unsigned char[::1] packet not None, targets):
    cdef Py_ssize_t i, length = len(packet), done = 0, locked
    cdef tuple given = tuple(targets)
    cdef Py_ssize_t count = len(given)
    cdef Session session
    cdef srtp_direction **directions
    cdef srtp_packet *c
    cdef list sessions, out = []
    if length < 12:
        raise MalformedPacketError(f"{length} bytes are no RTP packet")
    directions = <srtp_direction **> malloc((count or 1) * sizeof(srtp_direction *))
    c = <srtp_packet *> malloc((count or 1) * sizeof(srtp_packet))
    try:
        if directions == NULL or c == NULL:
            raise MemoryError()
        sessions = [target.session for target in given]  # which no target lets go while the packets are made
        for i in range(count):
            session = sessions[i]
            directions[i] = session._outbound
            if directions[i] != NULL:
                _here(directions[i])
            c[i].capacity = length if directions[i] == NULL else _capacity(directions[i], length, True, False)
            copy = PyBytes_FromStringAndSize(NULL, c[i].capacity)
            c[i].data = c[i].out = <uint8_t *> PyBytes_AS_STRING(copy)
            c[i].length = length
            memcpy(c[i].out, &packet[0], length)
            _rewrite_header(c[i].out, given[i])
            out.append(copy)
        while done < count:
            locked = srtp_lock_many(directions + done, count - done)
            if locked == 0:
                _wait(directions[done])
                continue
            with nogil:
                srtp_protect_fanout(directions + done, c + done, locked)
                srtp_release_many(directions + done, locked)
            done += locked
        return _results(out, c)
    finally:
        free(directions)
        free(c)
