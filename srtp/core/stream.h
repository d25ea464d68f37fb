/* What belongs to one SSRC of one direction. */
#ifndef SRTP_STREAM_H
#define SRTP_STREAM_H

#include "context.h"
#include "marks.h"
#include "replay_window.h"
#include "stream_pool.h"

#define SRTP_CACHE_LINE 64

/* Of the tag of a sent packet, kept to know the same bytes again. */
#define SRTP_FINGERPRINT 16

typedef struct {
    uint64_t processed;         /* protected or authenticated */
    uint64_t malformed;
    uint64_t authentication_failures;
    uint64_t replays;
    uint64_t too_old;
    uint64_t unknown_mki;
    uint64_t key_expired;
    uint64_t refused;           /* any other status */
} srtp_counters;

/* Session keys at an r other than 0, of the key_derivation_rate. */
typedef struct {
    uint64_t serial;            /* of the master key */
    uint64_t r;
    srtp_session_keys *keys;
} srtp_derived_keys;

/* What RTP and RTCP of one SSRC each have. */
typedef struct {
    srtp_replay_window window;
    srtp_counters counters;
    srtp_derived_keys derived;
} srtp_index_space;

/* Aligned so that what a packet in order touches, up to rtp.counters.processed, is one line of the cache. */
typedef struct {
    uint32_t ssrc;
    uint8_t owns_context;       /* the policy is this SSRC's alone */
    uint8_t pinned;             /* the ROC of the next RTP packet is `initial_roc`, as set or as the first one's */
    uint8_t large;              /* more than a piece of the pool: memory of its own */
    uint8_t asleep;             /* received nothing for long: see srtp_direction_doze() */
    srtp_context *context;
    srtp_index_space rtp;
    uint64_t staged;            /* the last batch chunk that took a packet of it, and the highest index there */
    uint64_t staged_top;
    uint32_t initial_roc;
    uint32_t born;              /* srtp_past_keys.count of its context when it came to be */
    uint64_t seen;              /* packets processed when srtp_direction_doze() last came by */
    srtp_index_space rtcp;
    uint8_t *fingerprints;      /* window capacity times SRTP_FINGERPRINT, for a sender with allow_repeat_tx */
} srtp_stream;

/* A new stream with empty windows, not yet in a table; NULL without memory. Its memory comes from the pool. */
srtp_stream *srtp_stream_new(srtp_stream_pool *pool, srtp_context *context, uint32_t ssrc, int keep_fingerprints);
/* Makes a new sender's stream go on where a mark says: no index below its ends will it use. */
void srtp_stream_begin_at(srtp_stream *stream, const srtp_mark *floor);
/* A new stream with the indexes and counters of one under another context: what lies before the old window counts as
 * used. NULL without memory. */
srtp_stream *srtp_stream_renewed(srtp_stream_pool *pool, const srtp_stream *stream, srtp_context *context,
                                 int keep_fingerprints);
/* What an idle receiver's stream keeps: all up to its highest indexes counts as used. NULL without memory. */
srtp_stream *srtp_stream_asleep(srtp_stream_pool *pool, const srtp_stream *stream);
/* Makes a new stream go on in the place of a sleeping one. */
void srtp_stream_wake_as(srtp_stream *awake, const srtp_stream *asleep);
/* A stream with the same indexes and counters, without the keys of a key_derivation_rate; NULL without memory. */
srtp_stream *srtp_stream_copy(srtp_stream_pool *pool, const srtp_stream *stream);
/* With its context, if that is its own; NULL is allowed. */
void srtp_stream_free(srtp_stream_pool *pool, srtp_stream *stream);

/* Where the fingerprint of an index lies, for a stream that has them. */
static inline uint8_t *srtp_stream_fingerprint(const srtp_stream *stream, uint64_t index) {
    return stream->fingerprints + (index & (stream->rtp.window.capacity - 1)) * SRTP_FINGERPRINT;
}

/* Counts a packet's fate. */
void srtp_count_refusal(srtp_counters *counters, srtp_status status);
static inline void srtp_count(srtp_counters *counters, srtp_status status) {
    if (__builtin_expect(status == SRTP_OK, 1))
        counters->processed++;
    else
        srtp_count_refusal(counters, status);
}

#endif
