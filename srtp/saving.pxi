# What of a session is saved, and how it is restored; the sealed form is saved_state.py's.


cdef bytes _id_bytes(const srtp_key_id *id):
    return (<const char *> id.bytes)[:sizeof(srtp_key_id)]


cdef _saved_context(Session session, srtp_direction *d, direction, ssrc):
    cdef srtp_context *context = session._context_for(d, direction, ssrc)
    cdef srtp_master_key *key = context.keys
    cdef uint32_t n, gone = context.past.count
    cdef Py_ssize_t current = 0
    used, previous_used = [], (0, 0)
    while key != NULL:
        counts = (key.rtp_lifetime.used, key.rtcp_lifetime.used)
        if key == context.previous:
            previous_used = counts
        else:
            if key == context.current:
                current = len(used)
            used.append(counts)
        key = key.next
    previous = session._previous[direction, ssrc] if context.previous != NULL else None
    past = [_id_bytes(&context.past.ids[n % SRTP_PAST_KEYS]) for n in range(gone - min(gone, SRTP_PAST_KEYS), gone)]
    return saved_values.SavedContext(
        direction, ssrc, session._policies[direction, ssrc], tuple(used), current, previous, previous_used,
        context.overlap, gone, tuple(past)
    )


cdef _saved_streams(const srtp_direction *d):
    cdef srtp_snapshot *taken = srtp_snapshot_take(d)
    cdef size_t i
    if taken == NULL:
        raise MemoryError()
    try:
        return tuple([
            saved_values.SavedStream(
                _stream_state(taken.streams[i]), bool(taken.streams[i].pinned), taken.streams[i].born
            )
            for i in range(taken.count)
        ])
    finally:
        srtp_snapshot_free(taken)


cdef _saved_marks(const srtp_direction *d):
    cdef size_t position = 0
    cdef const srtp_mark *mark = srtp_marks_next(&d.marks, &position)
    marks = []
    while mark != NULL:
        key = None if mark.any_key else _id_bytes(&mark.key)
        marks.append(saved_values.SenderMark(
            mark.ssrc, key, bool(mark.pinned), mark.roc, mark.rtp_end, mark.rtcp_end
        ))
        mark = srtp_marks_next(&d.marks, &position)
    return tuple(marks)


cdef _saved_direction(Session session, direction):
    """All of one direction at one moment; None where the session has none."""
    cdef srtp_direction *d = session._outbound if direction is Direction.OUTBOUND else session._inbound
    if d == NULL:
        return None
    _own(d)
    try:
        contexts = [
            _saved_context(session, d, way, ssrc) for way, ssrc in list(session._policies) if way is direction
        ]
        return saved_values.SavedDirection(direction, tuple(contexts), _saved_streams(d), _saved_marks(d))
    finally:
        _disown(d)


cdef _restore_context(Session session, srtp_direction *d, saved, uint64_t skipped):
    """Sets the lifetimes, the current key and the overlap of a policy that the session has been made with."""
    cdef srtp_context *context = session._context_for(d, saved.direction, saved.ssrc)
    cdef srtp_master_key *key = context.keys
    cdef srtp_master_key *added
    cdef uint32_t n
    for i, (rtp, rtcp) in enumerate(saved.used):
        key.rtp_lifetime.used = min(rtp + skipped, key.rtp_lifetime.limit)
        key.rtcp_lifetime.used = min(rtcp + skipped, key.rtcp_lifetime.limit)
        if i == saved.current:
            srtp_context_switch(context, key)
        key = key.next
    if saved.previous is not None:
        added = _add_key(context, saved.previous, saved.previous_used)
        key = context.current
        srtp_context_switch(context, added)
        srtp_context_rekey(context, key, saved.overlap)
        session._previous[saved.direction, saved.ssrc] = saved.previous
    context.past.count = saved.keys_gone
    for i, name in enumerate(saved.past):
        n = (saved.keys_gone - len(saved.past) + i) % SRTP_PAST_KEYS
        memcpy(&context.past.ids[n], <const uint8_t *> PyBytes_AS_STRING(name), sizeof(srtp_key_id))


cdef _restore_window(srtp_replay_window *window, state):
    cdef uint64_t i, top = state.top
    cdef bytes bits
    cdef const uint8_t *p
    if not state.started:
        return
    srtp_replay_jump(window, top)
    # The number is taken apart once: bit by bit it would take its square of time.
    bits = state.window.to_bytes((state.window.bit_length() + 7) // 8, "little")
    p = <const uint8_t *> PyBytes_AS_STRING(bits)
    for i in range(min(<uint64_t> window.size, <uint64_t> (8 * PyBytes_GET_SIZE(bits)))):
        if p[i // 8] >> (i % 8) & 1:
            srtp_replay_commit(window, top - i)


cdef _restore_stream(srtp_direction *d, saved, gap, bint sends):
    cdef srtp_stream *stream = _stream_at(d, saved.state.ssrc, sends)
    stream.initial_roc, stream.pinned, stream.born = saved.state.roc, saved.pinned, saved.born
    if sends:
        srtp_replay_use_up(&stream.rtp.window, saved.rtp_end(gap))
        srtp_replay_use_up(&stream.rtcp.window, saved.rtcp_end(gap))
    else:
        _restore_window(&stream.rtp.window, saved.state.rtp_replay)
        _restore_window(&stream.rtcp.window, saved.state.rtcp_replay)


cdef _restore_mark(srtp_direction *d, saved, gap):
    cdef srtp_mark mark
    memset(&mark, 0, sizeof(mark))
    mark.ssrc, mark.pinned, mark.roc = saved.ssrc, saved.pinned, saved.roc
    mark.rtp_end, mark.rtcp_end = saved.rtp_end_after(gap), saved.rtcp_end_after(gap)
    mark.any_key = saved.key is None
    if saved.key is not None:
        memcpy(&mark.key, <const uint8_t *> PyBytes_AS_STRING(saved.key), sizeof(srtp_key_id))
    if srtp_marks_reserve(&d.marks, 1) != SRTP_OK:
        raise MemoryError()
    srtp_marks_raise(&d.marks, &mark)


cdef _restore_direction(Session session, saved, gap):
    cdef srtp_direction *d = session._made(saved.direction)
    cdef bint sends = saved.direction is Direction.OUTBOUND
    _own(d)
    try:
        for context in saved.contexts:
            _restore_context(session, d, context, gap if sends else 0)
        for stream in saved.streams:
            _restore_stream(d, stream, gap, sends)
        for mark in saved.marks:
            _restore_mark(d, mark, gap)
    finally:
        _disown(d)
