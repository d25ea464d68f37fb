from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "core/status.h" nogil:
    ctypedef enum srtp_status:
        SRTP_OK
        SRTP_MALFORMED
        SRTP_TOO_LONG
        SRTP_NO_ROOM
        SRTP_NO_POLICY
        SRTP_UNKNOWN_MKI
        SRTP_KEY_EXPIRED
        SRTP_AUTH_FAILED
        SRTP_REPLAYED
        SRTP_TOO_OLD
        SRTP_INDEX_REUSED
        SRTP_INDEX_EXHAUSTED
        SRTP_UNENCRYPTED
        SRTP_NO_MEMORY
        SRTP_TOO_MANY_STREAMS
        SRTP_UNEXPECTED_CRYPTEX


cdef extern from "kernels/kernels.h" nogil:
    ctypedef struct srtp_kernels:
        const char *name

    const srtp_kernels *srtp_kernels_select(const char *name)
    const srtp_kernels *srtp_kernels_available(size_t i)


cdef extern from "core/session_keys.h" nogil:
    ctypedef enum srtp_cipher:
        pass

    ctypedef struct srtp_key_id:
        uint8_t *bytes

    ctypedef struct srtp_key_shape:
        srtp_cipher cipher
        size_t key_length
        size_t salt_length
        int header_keys


cdef extern from "core/master_key.h" nogil:
    ctypedef struct srtp_lifetime:
        uint64_t used
        uint64_t soft
        uint64_t limit
        int soft_reached
        int limit_reached

    ctypedef struct srtp_master_key:
        srtp_master_key *next
        srtp_lifetime rtp_lifetime
        srtp_lifetime rtcp_lifetime
        srtp_key_id id
        uint8_t *mki

    ctypedef struct srtp_master_key_values:
        const uint8_t *key
        const uint8_t *salt
        const uint8_t *mki
        size_t mki_length
        uint64_t from_ "from"
        uint64_t to
        srtp_lifetime rtp_lifetime
        srtp_lifetime rtcp_lifetime


cdef extern from "core/context.h" nogil:
    ctypedef enum srtp_cryptex_use:
        pass

    ctypedef struct srtp_parameters:
        srtp_key_shape shape
        size_t rtp_tag_length
        size_t rtcp_tag_length
        size_t mki_length
        uint64_t key_derivation_rate
        int encrypt_rtp
        int encrypt_rtcp
        int allow_repeat_tx
        srtp_cryptex_use cryptex
        int roc_mode
        uint16_t roc_rate
        uint32_t rtp_window
        uint32_t rtcp_window
        int replay_check
        uint32_t most_streams
        uint8_t *encrypted_extensions

    enum:
        SRTP_PAST_KEYS

    ctypedef struct srtp_past_keys:
        uint32_t count
        srtp_key_id *ids

    ctypedef struct srtp_context:
        srtp_parameters parameters
        srtp_master_key *keys
        srtp_master_key *current
        srtp_master_key *previous
        uint64_t overlap
        int overlap_ended
        size_t rtp_overhead
        size_t rtcp_overhead
        srtp_past_keys past

    srtp_context *srtp_context_new(const srtp_kernels *kernels, const srtp_parameters *parameters)
    void srtp_context_free(srtp_context *context)
    srtp_master_key *srtp_context_add_key(srtp_context *context, const srtp_master_key_values *values)
    srtp_master_key *srtp_context_key(const srtp_context *context, const uint8_t *mki)
    void srtp_context_switch(srtp_context *context, srtp_master_key *key)
    void srtp_context_remove_key(srtp_context *context, srtp_master_key *key)
    void srtp_context_rekey(srtp_context *context, srtp_master_key *key, uint64_t overlap)


cdef extern from "core/packet.h" nogil:
    uint32_t srtp_load32(const uint8_t *p)


cdef extern from "core/stream.h" nogil:
    ctypedef struct srtp_replay_window:
        uint64_t top
        uint16_t size
        bint started

    ctypedef struct srtp_counters:
        uint64_t processed
        uint64_t malformed
        uint64_t authentication_failures
        uint64_t replays
        uint64_t too_old
        uint64_t unknown_mki
        uint64_t key_expired
        uint64_t refused

    ctypedef struct srtp_index_space:
        srtp_replay_window window
        srtp_counters counters

    ctypedef struct srtp_stream:
        uint32_t ssrc
        uint32_t initial_roc
        srtp_context *context
        int owns_context
        int pinned
        uint32_t born
        int asleep
        srtp_index_space rtp
        srtp_index_space rtcp

    ctypedef struct srtp_stream_pool:
        pass

    srtp_status srtp_replay_check(const srtp_replay_window *window, uint64_t index)
    void srtp_replay_commit(srtp_replay_window *window, uint64_t index)
    void srtp_replay_jump(srtp_replay_window *window, uint64_t index)
    void srtp_replay_restart(srtp_replay_window *window)
    void srtp_replay_use_up(srtp_replay_window *window, uint64_t end)
    srtp_stream *srtp_stream_new(srtp_stream_pool *pool, srtp_context *context, uint32_t ssrc, int keep_fingerprints)
    void srtp_stream_free(srtp_stream_pool *pool, srtp_stream *stream)


cdef extern from "core/stream_table.h" nogil:
    ctypedef struct srtp_stream_table:
        size_t count
        srtp_stream_pool pool

    enum:
        SRTP_NEAR_STREAMS

    void srtp_stream_prefetch(const srtp_stream_table *table, uint32_t ssrc)
    srtp_stream *srtp_stream_find(srtp_stream_table *table, uint32_t ssrc)
    int srtp_stream_reserve(srtp_stream_table *table)
    void srtp_stream_insert(srtp_stream_table *table, srtp_stream *stream)
    int srtp_stream_remove(srtp_stream_table *table, uint32_t ssrc)
    srtp_stream *srtp_stream_wake(srtp_stream_table *table, srtp_stream *stream)


cdef extern from "core/marks.h" nogil:
    ctypedef struct srtp_mark:
        uint32_t ssrc
        uint32_t roc
        bint pinned
        bint any_key
        srtp_key_id key
        uint64_t rtp_end
        uint64_t rtcp_end

    ctypedef struct srtp_marks:
        size_t count

    enum:
        SRTP_MOST_MARKS

    srtp_status srtp_marks_reserve(srtp_marks *marks, size_t more)
    void srtp_marks_raise(srtp_marks *marks, const srtp_mark *mark)
    const srtp_mark *srtp_marks_next(const srtp_marks *marks, size_t *position)


cdef extern from "core/direction.h" nogil:
    ctypedef struct srtp_lock:
        unsigned long owner

    ctypedef struct srtp_overhead:
        size_t most
        size_t least

    ctypedef struct srtp_direction:
        srtp_context *any
        srtp_stream_table streams
        srtp_marks marks
        srtp_counters rtp
        srtp_counters rtcp
        srtp_overhead rtp_overhead
        srtp_overhead rtcp_overhead
        srtp_lock lock
        uint32_t process

    ctypedef struct srtp_packet:
        const uint8_t *data "in"
        uint8_t *out
        size_t length
        size_t capacity
        size_t out_length
        uint64_t index
        srtp_status status

    ctypedef srtp_status (*srtp_operation)(srtp_direction *direction, srtp_packet *packet)
    ctypedef void (*srtp_batch_operation)(srtp_direction *direction, srtp_packet *packets, size_t count)

    bint srtp_lock_held(const srtp_lock *lock)
    bint srtp_lock_try(srtp_lock *lock)
    void srtp_lock_wait(const srtp_lock *lock)
    void srtp_lock_release(srtp_lock *lock)
    srtp_direction *srtp_direction_new(srtp_context *any)
    void srtp_direction_admit(srtp_direction *direction, const srtp_context *context)
    void srtp_direction_free(srtp_direction *direction)
    srtp_status srtp_protect(srtp_direction *direction, srtp_packet *packet)
    srtp_status srtp_protect_rtcp(srtp_direction *direction, srtp_packet *packet)
    srtp_status srtp_unprotect(srtp_direction *direction, srtp_packet *packet)
    srtp_status srtp_unprotect_rtcp(srtp_direction *direction, srtp_packet *packet)
    void srtp_protect_batch(srtp_direction *direction, srtp_packet *packets, size_t count)
    void srtp_protect_fanout(srtp_direction **directions, srtp_packet *packets, size_t count)
    void srtp_unprotect_batch(srtp_direction *direction, srtp_packet *packets, size_t count)
    size_t srtp_lock_many(srtp_direction **directions, size_t count)
    void srtp_release_many(srtp_direction **directions, size_t count)


cdef extern from "core/sender_marks.h" nogil:
    srtp_stream *srtp_sender_new(srtp_direction *direction, srtp_context *context, uint32_t ssrc)
    srtp_status srtp_sender_remove(srtp_direction *direction, srtp_stream *stream)
    srtp_status srtp_senders_obey(
        srtp_direction *direction, const srtp_context *context, const srtp_master_key *key, uint32_t *ssrc
    )
    srtp_status srtp_direction_renew(
        srtp_direction *direction, srtp_context *old, srtp_context *context, int sends, uint32_t *ssrc
    )


cdef extern from "core/process.h" nogil:
    bint srtp_process_is(uint32_t number)


cdef extern from "core/snapshot.h" nogil:
    ctypedef struct srtp_snapshot:
        srtp_stream **streams
        size_t count
        srtp_counters rtp
        srtp_counters rtcp

    srtp_snapshot *srtp_snapshot_take(const srtp_direction *direction)
    void srtp_snapshot_free(srtp_snapshot *snapshot)


cdef extern from "core/arena.h" nogil:
    ctypedef struct srtp_arena:
        uint8_t *bytes
        size_t size
        const int64_t *offsets
        int32_t *lengths
        const int32_t *capacities
        int8_t *statuses

    size_t srtp_run_arena(
        srtp_direction *direction, srtp_batch_operation operation, const srtp_arena *arena, size_t count
    )
