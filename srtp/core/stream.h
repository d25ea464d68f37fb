/* What belongs to one SSRC of one direction, and the table of them. */
#ifndef SRTP_STREAM_H
#define SRTP_STREAM_H

#include "context.h"
#include "replay_window.h"

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
    uint8_t retired;            /* removed, but kept as a sender's: its indexes stay used */
    srtp_context *context;
    srtp_index_space rtp;
    uint64_t staged;            /* the last batch chunk that took a packet of it, and the highest index there */
    uint64_t staged_top;
    uint32_t initial_roc;       /* the ROC of the first packet, until one has come */
    srtp_index_space rtcp;
    uint8_t *fingerprints;      /* window capacity times SRTP_FINGERPRINT, for a sender with allow_repeat_tx */
} srtp_stream;

/* The SSRC stands here as well, so that a search touches no stream but the one it finds. */
typedef struct {
    srtp_stream *stream;        /* NULL where there is none */
    uint32_t ssrc;
} srtp_stream_slot;

typedef struct {
    srtp_stream_slot *slots;    /* open addressing; capacity is a power of two */
    size_t capacity;
    size_t count;
} srtp_stream_table;

/* A new stream with empty windows, not yet in the table; NULL without memory. */
srtp_stream *srtp_stream_new(srtp_context *context, uint32_t ssrc, int keep_fingerprints);
/* With its context, if that is its own; NULL is allowed. */
void srtp_stream_free(srtp_stream *stream);

/* Where the search for an SSRC begins. */
static inline size_t srtp_stream_home(uint32_t ssrc, size_t capacity) {
    uint32_t h = ssrc;
    h = (h ^ (h >> 16)) * 0x85ebca6bu;
    h = (h ^ (h >> 13)) * 0xc2b2ae35u;
    return (h ^ (h >> 16)) & (capacity - 1);
}

/* The stream of an SSRC, or NULL; never inserts. */
static inline srtp_stream *srtp_stream_find(const srtp_stream_table *table, uint32_t ssrc) {
    if (table->count == 0) return NULL;
    for (size_t i = srtp_stream_home(ssrc, table->capacity);; i = (i + 1) & (table->capacity - 1)) {
        const srtp_stream_slot *slot = &table->slots[i];
        if (slot->stream == NULL || slot->ssrc == ssrc) return slot->stream;
    }
}

/* More streams than this are in none of the near caches when their packets come in any order. */
#define SRTP_NEAR_STREAMS 128

/* Has the place where the search for an SSRC begins, or then its stream, fetched into the cache. */
static inline void srtp_stream_prefetch_slot(const srtp_stream_table *table, uint32_t ssrc) {
    __builtin_prefetch(&table->slots[srtp_stream_home(ssrc, table->capacity)]);
}
static inline void srtp_stream_prefetch(const srtp_stream_table *table, uint32_t ssrc) {
    __builtin_prefetch(srtp_stream_find(table, ssrc));
}

/* Makes room for one stream more; -1 without memory. */
int srtp_stream_reserve(srtp_stream_table *table);
/* Puts it into the table, which has room and owns it from then on. */
void srtp_stream_insert(srtp_stream_table *table, srtp_stream *stream);
/* Takes the stream of an SSRC out and frees it; 0 if there is none. */
int srtp_stream_remove(srtp_stream_table *table, uint32_t ssrc);
/* Shrinks a sender's stream to what keeps its indexes from being used again; -1 without memory. */
int srtp_stream_retire(srtp_stream_table *table, srtp_stream *stream);
/* Makes a whole stream of a retired one, which is freed; NULL without memory. */
srtp_stream *srtp_stream_revive(srtp_stream_table *table, srtp_stream *stream);

/* Counts a packet's fate. */
void srtp_count_refusal(srtp_counters *counters, srtp_status status);
static inline void srtp_count(srtp_counters *counters, srtp_status status) {
    if (__builtin_expect(status == SRTP_OK, 1))
        counters->processed++;
    else
        srtp_count_refusal(counters, status);
}

#endif
