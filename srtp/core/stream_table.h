/* The streams of a direction, by SSRC. */
#ifndef SRTP_STREAM_TABLE_H
#define SRTP_STREAM_TABLE_H

#include "stream.h"

#define SRTP_BUCKET_STREAMS 5

/* One line of the cache: a search touches it, mostly no other, and no stream but the one it finds. */
typedef struct {
    uint32_t count;
    uint32_t ssrcs[SRTP_BUCKET_STREAMS];
    srtp_stream *streams[SRTP_BUCKET_STREAMS];
} srtp_stream_bucket;

/* A stream that finds its bucket full goes into the next that is not. */
typedef struct {
    srtp_stream_bucket *buckets; /* 2^bits of them, or NULL */
    unsigned bits;
    size_t count;               /* of streams */
    srtp_stream *recent;        /* the last one found, or NULL */
    uint32_t recent_ssrc;
    srtp_stream_pool pool;      /* their memory */
} srtp_stream_table;

/* Where the search for an SSRC begins: the upper bits of a product, which all bits of the SSRC move. */
static inline size_t srtp_stream_home(uint32_t ssrc, unsigned bits) {
    return (ssrc * UINT64_C(0x9e3779b97f4a7c15)) >> 32 >> (32 - bits);
}

/* The stream of an SSRC, or NULL; never inserts. */
static inline srtp_stream *srtp_stream_look_up(const srtp_stream_table *table, uint32_t ssrc) {
    if (table->count == 0) return NULL;
    for (size_t i = srtp_stream_home(ssrc, table->bits);; i = (i + 1) & (((size_t)1 << table->bits) - 1)) {
        const srtp_stream_bucket *bucket = &table->buckets[i];
        unsigned found = 0; /* without branches, of which half would be guessed wrong */
        for (unsigned k = 0; k < SRTP_BUCKET_STREAMS; k++) found |= (unsigned)(bucket->ssrcs[k] == ssrc) << k;
        found &= (1u << bucket->count) - 1;
        if (__builtin_expect(found != 0, 1)) return bucket->streams[__builtin_ctz(found)];
        if (bucket->count < SRTP_BUCKET_STREAMS) return NULL;
    }
}

/* The same, for a packet to be processed: where streams are few, its stream is often the last one found. */
static inline srtp_stream *srtp_stream_find(srtp_stream_table *table, uint32_t ssrc) {
    if (table->recent != NULL && table->recent_ssrc == ssrc) return table->recent;
    table->recent_ssrc = ssrc;
    return table->recent = srtp_stream_look_up(table, ssrc);
}

/* More streams than this are in none of the near caches when their packets come in any order. */
#define SRTP_NEAR_STREAMS 128

/* Has the place where the search for an SSRC begins fetched into the cache. */
static inline void srtp_stream_prefetch_bucket(const srtp_stream_table *table, uint32_t ssrc) {
    __builtin_prefetch(&table->buckets[srtp_stream_home(ssrc, table->bits)]);
}
/* Has its stream fetched: what a packet in order touches, and what unprotecting a batch touches beside that. */
static inline void srtp_stream_prefetch(const srtp_stream_table *table, uint32_t ssrc) {
    __builtin_prefetch(srtp_stream_look_up(table, ssrc));
}
static inline void srtp_stream_prefetch_staged(const srtp_stream_table *table, uint32_t ssrc) {
    const srtp_stream *stream = srtp_stream_look_up(table, ssrc);
    if (stream == NULL) return;
    __builtin_prefetch(stream);
    __builtin_prefetch(&stream->staged);
}

/* The next stream after `*position`, which begins as 0 and moves on; NULL after the last. In no order. */
srtp_stream *srtp_stream_next(const srtp_stream_table *table, size_t *position);

/* Makes room for one stream more; -1 without memory. */
int srtp_stream_reserve(srtp_stream_table *table);
/* Puts it into the table, which has room and owns it from then on. Its memory is of the table's pool. */
void srtp_stream_insert(srtp_stream_table *table, srtp_stream *stream);
/* Takes the stream of an SSRC out and frees it; 0 if there is none. */
int srtp_stream_remove(srtp_stream_table *table, uint32_t ssrc);
/* Puts `heir`, of the same SSRC, in the place of a stream, which is freed. */
void srtp_stream_replace(srtp_stream_table *table, srtp_stream *stream, srtp_stream *heir);
/* Makes a whole stream of a sleeping one, which is freed; NULL without memory. */
srtp_stream *srtp_stream_wake(srtp_stream_table *table, srtp_stream *stream);
/* Frees all streams and their memory. */
void srtp_stream_table_free(srtp_stream_table *table);

#endif
