# Policies, keys and rollover counters that change while a session runs: so that no key stream is used twice.


cdef _refuse_key(ssrc):
    raise IndexReuseError(
        "the key has protected later packets of the SSRC than it is at, under a policy that was removed: "
        "take another key, or remove_stream() first and go on after those", ssrc=ssrc
    )


cdef srtp_master_key *_obeying_key(srtp_direction *d, srtp_context *context, key, bint sends) except NULL:
    """A key added to a context; for senders, what it has protected before stays used."""
    cdef uint32_t ssrc = 0
    cdef srtp_master_key *added = _add_key(context, key)
    if sends and srtp_senders_obey(d, context, added, &ssrc) != SRTP_OK:
        srtp_context_remove_key(context, added)
        _refuse_key(ssrc)
    return added


cdef _add_policy(srtp_direction *d, const srtp_kernels *kernels, uint32_t ssrc, policy, bint sends):
    cdef srtp_stream *stream
    cdef srtp_context *context
    if srtp_stream_find(&d.streams, ssrc) != NULL:
        raise PolicyError("the SSRC has a stream already, remove that first", ssrc=ssrc)
    context = _context(kernels, policy, sends)
    try:
        stream = _new_stream(d, context, ssrc, sends)
    except BaseException:
        srtp_context_free(context)
        raise
    stream.owns_context = True
    srtp_direction_admit(d, context)


cdef srtp_stream *_new_stream(srtp_direction *d, srtp_context *context, uint32_t ssrc, bint sends) except NULL:
    """A stream in the table; a sender's begins after what the keys have protected of the SSRC before."""
    cdef srtp_stream *stream
    if sends:
        stream = srtp_sender_new(d, context, ssrc)
        if stream == NULL:
            raise MemoryError()
        return stream
    stream = srtp_stream_new(&d.streams.pool, context, ssrc, False)
    if stream == NULL or srtp_stream_reserve(&d.streams) != 0:
        srtp_stream_free(&d.streams.pool, stream)
        raise MemoryError()
    srtp_stream_insert(&d.streams, stream)
    return stream


cdef srtp_stream *_stream_at(srtp_direction *d, uint32_t ssrc, bint sends) except NULL:
    """The stream of an SSRC, made if need be, under the lock."""
    cdef srtp_stream *stream = srtp_stream_find(&d.streams, ssrc)
    if stream != NULL and stream.asleep:
        stream = srtp_stream_wake(&d.streams, stream)
        if stream == NULL:
            raise MemoryError()
    if stream != NULL:
        return stream
    if d.any == NULL:
        raise NoPolicyError("the session has no policy for this direction and SSRC", ssrc=ssrc)
    return _new_stream(d, d.any, ssrc, sends)


cdef _set_roc(srtp_direction *d, uint32_t ssrc, uint32_t roc, bint sends):
    cdef srtp_stream *stream = _stream_at(d, ssrc, sends)
    cdef uint64_t used = stream.rtp.window.top >> 16
    if stream.rtp.window.started and roc < used:
        if sends:
            raise IndexReuseError(
                f"a sender's ROC can only grow: packets went out under ROC {used}, not to be set to {roc}", ssrc=ssrc
            )
        srtp_replay_restart(&stream.rtp.window)
    stream.initial_roc = roc
    stream.pinned = True


cdef _remove_sender(srtp_direction *d, srtp_stream *stream):
    cdef srtp_status status = srtp_sender_remove(d, stream)
    if status == SRTP_TOO_MANY_STREAMS:
        raise TooManyStreamsError(
            f"{SRTP_MOST_MARKS} removed senders are remembered, so that none of their key streams is used twice: "
            "keep the stream, or go on with new keys in a new Session", ssrc=stream.ssrc
        )
    if status != SRTP_OK:
        raise MemoryError()


cdef _keep_lifetime(srtp_lifetime *lifetime, const srtp_lifetime *old):
    lifetime.used = max(lifetime.used, old.used)
    # What a changed limit now reaches is an event; what was told already is none again.
    lifetime.soft_reached = old.soft_reached or (old.used < old.soft and lifetime.used >= lifetime.soft)
    lifetime.limit_reached = old.limit_reached or (old.used < old.limit and lifetime.used >= lifetime.limit)


cdef _keep_lifetimes(srtp_context *context, const srtp_context *old):
    """The keys that stay go on with the packets that they have had."""
    cdef srtp_master_key *before = old.keys
    cdef srtp_master_key *key
    while before != NULL:
        key = context.keys
        while key != NULL:
            if memcmp(&key.id, &before.id, sizeof(srtp_key_id)) == 0:
                _keep_lifetime(&key.rtp_lifetime, &before.rtp_lifetime)
                _keep_lifetime(&key.rtcp_lifetime, &before.rtcp_lifetime)
            key = key.next
        before = before.next


cdef _keep_choice(Session session, srtp_context *context, const srtp_context *old, place):
    """The keys are the same ones: that which protects stays, and so does one that is still accepted."""
    cdef srtp_master_key *key = context.keys
    cdef srtp_master_key *before = old.keys
    cdef srtp_master_key *added
    while key != NULL:
        if before == old.previous:
            before = before.next
        if before == old.current:
            srtp_context_switch(context, key)
        key, before = key.next, before.next
    if old.previous != NULL:
        key = context.current
        added = _add_key(context, session._previous[place])
        srtp_context_switch(context, added)
        srtp_context_rekey(context, key, old.overlap)
    context.overlap_ended = old.overlap_ended


cdef _update_policy(Session session, srtp_direction *d, direction, policy, ssrc):
    cdef bint sends = direction is Direction.OUTBOUND
    cdef srtp_context *old = session._context_for(d, direction, ssrc)
    cdef srtp_context *context = _context(session._kernels, policy, sends)
    cdef srtp_status status
    cdef uint32_t at = 0
    cdef bint same = policy.has_keys_of(session._policies[direction, ssrc])
    try:
        if same:
            _keep_choice(session, context, old, (direction, ssrc))
        _keep_lifetimes(context, old)
        status = srtp_direction_renew(d, old, context, sends, &at)
        if status == SRTP_OK:
            context = NULL
        elif status == SRTP_INDEX_REUSED:
            _refuse_key(at)
        else:
            raise MemoryError()
    finally:
        srtp_context_free(context)
    session._policies[direction, ssrc] = policy
    if not same:
        session._previous.pop((direction, ssrc), None)
