from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef extern from "core/status.h" nogil:
    ctypedef enum srtp_status:
        SRTP_OK
        SRTP_MALFORMED
        SRTP_TOO_LONG
        SRTP_NO_POLICY
        SRTP_UNKNOWN_MKI
        SRTP_AUTH_FAILED
        SRTP_REPLAYED
        SRTP_TOO_OLD
        SRTP_INDEX_REUSED
        SRTP_INDEX_EXHAUSTED
        SRTP_UNENCRYPTED
        SRTP_NO_MEMORY


cdef extern from "kernels/kernels.h" nogil:
    ctypedef struct srtp_kernels:
        const char *name

    const srtp_kernels *srtp_kernels_select(const char *name)
    const srtp_kernels *srtp_kernels_available(size_t i)
    void srtp_wipe(void *data, size_t length)


cdef extern from "core/direction.h" nogil:
    ctypedef struct srtp_replay_window:
        uint64_t top
        uint32_t size
        int started

    ctypedef struct srtp_parameters:
        int encrypt
        size_t key_length
        size_t rtp_tag_length
        size_t rtcp_tag_length
        size_t mki_length
        uint8_t *mki
        uint32_t rtp_window
        uint32_t rtcp_window
        int allow_repeat_tx

    ctypedef struct srtp_counters:
        uint64_t processed
        uint64_t malformed
        uint64_t authentication_failures
        uint64_t replays
        uint64_t too_old
        uint64_t unknown_mki
        uint64_t refused

    ctypedef struct srtp_index_space:
        srtp_replay_window window
        srtp_counters counters

    ctypedef struct srtp_stream:
        uint32_t ssrc
        uint32_t initial_roc
        srtp_index_space rtp
        srtp_index_space rtcp

    ctypedef struct srtp_stream_table:
        srtp_stream **slots
        size_t capacity
        size_t count

    ctypedef struct srtp_direction:
        srtp_parameters parameters
        srtp_stream_table streams
        srtp_counters rtp
        srtp_counters rtcp

    ctypedef srtp_status (*srtp_operation)(
        srtp_direction *direction, const uint8_t *data, size_t length, uint8_t *out, size_t *out_length,
        uint64_t *index
    )

    srtp_status srtp_replay_check(const srtp_replay_window *window, uint64_t index)
    void srtp_replay_move(srtp_replay_window *window, uint64_t top)
    srtp_direction *srtp_direction_new(
        const srtp_kernels *kernels, const srtp_parameters *parameters, const uint8_t *master_key,
        const uint8_t *master_salt
    )
    void srtp_direction_free(srtp_direction *direction)
    srtp_stream *srtp_stream_find(const srtp_stream_table *table, uint32_t ssrc)
    srtp_stream *srtp_stream_new(const srtp_direction *direction, uint32_t ssrc, int keep_fingerprints)
    int srtp_stream_insert(srtp_stream_table *table, srtp_stream *stream)
    int srtp_stream_remove(srtp_stream_table *table, uint32_t ssrc)
    size_t srtp_rtp_overhead(const srtp_direction *direction)
    size_t srtp_rtcp_overhead(const srtp_direction *direction)
    srtp_status srtp_protect(
        srtp_direction *, const uint8_t *, size_t, uint8_t *, size_t *, uint64_t *)
    srtp_status srtp_protect_rtcp(
        srtp_direction *, const uint8_t *, size_t, uint8_t *, size_t *, uint64_t *)
    srtp_status srtp_unprotect(
        srtp_direction *, const uint8_t *, size_t, uint8_t *, size_t *, uint64_t *)
    srtp_status srtp_unprotect_rtcp(
        srtp_direction *, const uint8_t *, size_t, uint8_t *, size_t *, uint64_t *)
