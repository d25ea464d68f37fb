# Policies and saved values into the C core's structures, and its counters and windows out of them.


cdef object _counters(const srtp_counters *c):
    return PacketCounters(
        c.processed, c.malformed, c.authentication_failures, c.replays, c.too_old, c.unknown_mki, c.key_expired,
        c.refused,
    )


cdef object _replay(const srtp_index_space *space):
    cdef uint64_t i
    cdef bytearray bits = bytearray((space.window.size + 7) // 8)
    cdef uint8_t *p = <uint8_t *> PyByteArray_AS_STRING(bits)
    for i in range(space.window.size):
        if i <= space.window.top and srtp_replay_check(&space.window, space.window.top - i) == SRTP_REPLAYED:
            p[i // 8] |= <uint8_t> (1 << i % 8)
    return ReplayState(bool(space.window.started), space.window.top, int.from_bytes(bits, "little"))


cdef object _stream_state(const srtp_stream *stream):
    return StreamState(
        stream.ssrc,
        stream.initial_roc if stream.pinned else stream.rtp.window.top >> 16,
        _replay(&stream.rtp),
        _replay(&stream.rtcp),
        _counters(&stream.rtp.counters),
        _counters(&stream.rtcp.counters),
    )


cdef _shorten_rtcp_tags(srtp_direction *d):
    """For diagnose(), which looks for peers that cut the tag of SRTCP as RFC 4568 6.2.2 cuts that of SRTP."""
    cdef size_t cut = d.any.parameters.rtcp_tag_length - 4
    d.any.parameters.rtcp_tag_length -= cut
    d.any.rtcp_overhead -= cut
    d.rtcp_overhead.least -= cut


cdef object _rtcp_index(srtp_direction *direction, uint32_t ssrc):
    """The highest SRTCP index of a stream, None where it has none."""
    cdef const srtp_stream *stream
    _enter_briefly(direction)
    stream = srtp_stream_find(&direction.streams, ssrc)
    index = stream.rtcp.window.top if stream != NULL and stream.rtcp.window.started else None
    _leave_briefly(&direction.lock)
    return index


cdef _set_lifetime(srtp_lifetime *lifetime, uint64_t limit, uint64_t soft, uint64_t used=0):
    lifetime.limit, lifetime.soft, lifetime.used = limit, soft, used


cdef srtp_master_key *_add_key(srtp_context *context, key, used=(0, 0)) except NULL:
    cdef srtp_master_key_values values
    cdef srtp_master_key *added
    cdef Py_buffer secret, salt
    mki = key.mki
    memset(&values, 0, sizeof(values))
    values.mki = <const uint8_t *> PyBytes_AS_STRING(mki)
    values.mki_length = len(mki)
    values.from_, values.to = key.valid_from, key.valid_to
    _set_lifetime(&values.rtp_lifetime, key.srtp_lifetime, key.soft(key.srtp_lifetime), used[0])
    _set_lifetime(&values.rtcp_lifetime, key.srtcp_lifetime, key.soft(key.srtcp_lifetime), used[1])
    PyObject_GetBuffer(key.key, &secret, PyBUF_SIMPLE)
    try:
        PyObject_GetBuffer(key.salt, &salt, PyBUF_SIMPLE)
        try:
            values.key, values.salt = <const uint8_t *> secret.buf, <const uint8_t *> salt.buf
            added = srtp_context_add_key(context, &values)
        finally:
            PyBuffer_Release(&salt)
    finally:
        PyBuffer_Release(&secret)
    if added == NULL:
        raise MemoryError()
    return added


cdef srtp_context *_context(const srtp_kernels *kernels, policy, bint sends) except NULL:
    cdef srtp_parameters parameters
    cdef srtp_context *context
    if not isinstance(policy, Policy):
        raise TypeError(f"a policy is a Policy, not a {type(policy).__name__}")
    if sends and not policy.replay_check:
        raise PolicyError("replay_check is off, which is for reading captures: a sender cannot do without")
    profile = policy.profile
    memset(&parameters, 0, sizeof(parameters))
    parameters.shape.cipher = <srtp_cipher> <int> profile.cipher.value
    parameters.shape.key_length = profile.master_key_length
    parameters.shape.salt_length = profile.master_salt_length
    parameters.shape.header_keys = bool(policy.encrypted_extensions)
    parameters.rtp_tag_length = profile.rtp_tag_length if policy.authenticate_rtp else 0
    parameters.rtcp_tag_length = profile.rtcp_tag_length
    parameters.mki_length = len(policy.mki)
    parameters.key_derivation_rate = policy.key_derivation_rate
    parameters.encrypt_rtp, parameters.encrypt_rtcp = policy.encrypt_rtp, policy.encrypt_rtcp
    parameters.allow_repeat_tx = sends and policy.allow_repeat_tx
    parameters.cryptex = <srtp_cryptex_use> <int> policy.cryptex.value
    if policy.roc_carrying is not None:
        parameters.roc_mode, parameters.roc_rate = policy.roc_carrying.mode, policy.roc_carrying.rate
    parameters.replay_check, parameters.most_streams = policy.replay_check, policy.max_streams
    parameters.rtp_window, parameters.rtcp_window = policy.rtp_window, policy.rtcp_window
    for extension in policy.encrypted_extensions:
        parameters.encrypted_extensions[extension // 8] |= 1 << extension % 8
    context = srtp_context_new(kernels, &parameters)
    if context == NULL:
        raise MemoryError()
    try:
        for key in policy.master_keys:
            _add_key(context, key)
    except BaseException:
        srtp_context_free(context)
        raise
    return context
