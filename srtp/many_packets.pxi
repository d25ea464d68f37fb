# Lists and batches of packets through the C core, without the GIL.


cdef list _results(list buffers, const srtp_packet *c):
    """The buffers cut to length, a status in the place of each whose packet was refused."""
    cdef Py_ssize_t i
    for i in range(len(buffers)):
        if c[i].status != SRTP_OK:
            buffers[i] = _STATUSES[<int> c[i].status]
        elif c[i].out_length != c[i].capacity:
            buffers[i] = buffers[i][:c[i].out_length]
    return buffers


cdef list _to_list(srtp_direction *direction, srtp_batch_operation operation, object given, bint grow):
    """Many packets into new bytes, a status in the place of each that was refused."""
    # A tuple of exact bytes: nothing in it moves or goes while the GIL is released.
    cdef tuple packets = tuple([p if PyBytes_CheckExact(p) else bytes(memoryview(p)) for p in given])
    cdef Py_ssize_t i, capacity, count = len(packets)
    cdef srtp_packet *c
    cdef list out = []
    if direction == NULL:
        return [PacketStatus.NO_POLICY] * count
    c = <srtp_packet *> malloc((count or 1) * sizeof(srtp_packet))
    if c == NULL:
        raise MemoryError()
    try:
        for i in range(count):
            packet = packets[i]
            c[i].data = <const uint8_t *> PyBytes_AS_STRING(packet)
            c[i].length = PyBytes_GET_SIZE(packet)
            capacity = _capacity(direction, c[i].length, grow, False)
            protected = PyBytes_FromStringAndSize(NULL, capacity)
            c[i].out = <uint8_t *> PyBytes_AS_STRING(protected)
            c[i].capacity = capacity
            out.append(protected)
        _enter(direction)
        with nogil:
            operation(direction, c, count)
            srtp_lock_release(&direction.lock)
        out = _results(out, c)
        for i in range(count):
            if c[i].status == SRTP_NO_ROOM:  # another thread added a policy between
                out[i] = _to_list(direction, operation, (packets[i],), grow)[0]
        return out
    finally:
        free(c)


cdef Py_ssize_t _run_batch(
    srtp_direction *direction, srtp_batch_operation operation, PacketBatch batch, object count
) except -1:
    cdef Py_ssize_t n = batch.count if count is None else count
    cdef Py_ssize_t processed
    if direction == NULL:
        raise _error(SRTP_NO_POLICY, NULL, 0, False, 0)
    if not 0 <= n <= batch.count:
        raise ValueError(f"{n} packets are asked for, the batch has {batch.count}")
    _enter(direction)
    with nogil:
        processed = srtp_run_arena(direction, operation, &batch._c, n)
        srtp_lock_release(&direction.lock)
    return processed
