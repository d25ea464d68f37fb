#include "stream_table.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BITS 1

static size_t bucket_count(const srtp_stream_table *table) {
    return table->buckets == NULL ? 0 : (size_t)1 << table->bits;
}

static size_t after(const srtp_stream_table *table, size_t i) { return (i + 1) & (bucket_count(table) - 1); }

static void place(srtp_stream_table *table, srtp_stream *stream) {
    size_t i = srtp_stream_home(stream->ssrc, table->bits);
    while (table->buckets[i].count == SRTP_BUCKET_STREAMS) i = after(table, i);
    srtp_stream_bucket *bucket = &table->buckets[i];
    bucket->ssrcs[bucket->count] = stream->ssrc;
    bucket->streams[bucket->count++] = stream;
}

srtp_stream *srtp_stream_next(const srtp_stream_table *table, size_t *position) {
    for (; *position < bucket_count(table) * SRTP_BUCKET_STREAMS; ++*position) {
        const srtp_stream_bucket *bucket = &table->buckets[*position / SRTP_BUCKET_STREAMS];
        size_t k = *position % SRTP_BUCKET_STREAMS;
        if (k < bucket->count) {
            ++*position;
            return bucket->streams[k];
        }
    }
    return NULL;
}

/* At most three of five places are taken, so that few buckets are full. */
int srtp_stream_reserve(srtp_stream_table *table) {
    if (table->count < 3 * bucket_count(table)) return 0;
    srtp_stream_table larger = *table;
    larger.bits = table->buckets == NULL ? FIRST_BITS : table->bits + 1;
    size_t size = ((size_t)1 << larger.bits) * sizeof *larger.buckets;
    larger.buckets = aligned_alloc(SRTP_CACHE_LINE, size);
    if (larger.buckets == NULL) return -1;
    memset(larger.buckets, 0, size);
    srtp_stream *stream;
    for (size_t position = 0; (stream = srtp_stream_next(table, &position)) != NULL;) place(&larger, stream);
    free(table->buckets);
    *table = larger;
    return 0;
}

void srtp_stream_insert(srtp_stream_table *table, srtp_stream *stream) {
    place(table, stream);
    table->count++;
}

/* The place of a stream that is in the table. */
static srtp_stream **place_of(const srtp_stream_table *table, const srtp_stream *stream, size_t *i) {
    for (*i = srtp_stream_home(stream->ssrc, table->bits);; *i = after(table, *i)) {
        srtp_stream_bucket *bucket = &table->buckets[*i];
        for (size_t k = 0; k < bucket->count; k++)
            if (bucket->streams[k] == stream) return &bucket->streams[k];
    }
}

/* A bucket was full and no longer is: those that went past it are placed anew. */
static void close_gap(srtp_stream_table *table, size_t gap) {
    int full = 1;
    for (size_t i = after(table, gap); full && i != gap; i = after(table, i)) {
        srtp_stream_bucket moved = table->buckets[i];
        full = moved.count == SRTP_BUCKET_STREAMS;
        table->buckets[i].count = 0;
        for (size_t k = 0; k < moved.count; k++) place(table, moved.streams[k]);
    }
}

int srtp_stream_remove(srtp_stream_table *table, uint32_t ssrc) {
    srtp_stream *stream = srtp_stream_look_up(table, ssrc);
    if (stream == NULL) return 0;
    size_t i;
    size_t k = (size_t)(place_of(table, stream, &i) - table->buckets[i].streams);
    srtp_stream_bucket *bucket = &table->buckets[i];
    int was_full = bucket->count-- == SRTP_BUCKET_STREAMS;
    bucket->ssrcs[k] = bucket->ssrcs[bucket->count];
    bucket->streams[k] = bucket->streams[bucket->count];
    table->count--;
    if (was_full) close_gap(table, i);
    table->recent = NULL;
    srtp_stream_free(&table->pool, stream);
    return 1;
}

void srtp_stream_replace(srtp_stream_table *table, srtp_stream *stream, srtp_stream *heir) {
    size_t i;
    *place_of(table, stream, &i) = heir;
    table->recent = NULL;
    srtp_stream_free(&table->pool, stream);
}

srtp_stream *srtp_stream_wake(srtp_stream_table *table, srtp_stream *stream) {
    srtp_stream *awake = srtp_stream_new(&table->pool, stream->context, stream->ssrc, 0);
    if (awake == NULL) return NULL;
    srtp_stream_wake_as(awake, stream);
    srtp_stream_replace(table, stream, awake);
    return awake;
}

void srtp_stream_table_free(srtp_stream_table *table) {
    srtp_stream *stream;
    for (size_t position = 0; (stream = srtp_stream_next(table, &position)) != NULL;)
        srtp_stream_free(&table->pool, stream);
    free(table->buckets);
    srtp_stream_pool_free(&table->pool);
}
