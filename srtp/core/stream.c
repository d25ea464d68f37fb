#include "stream.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 8
#define SRTP_CACHE_LINE 64

static void place(srtp_stream_slot *slots, size_t capacity, srtp_stream *stream) {
    size_t i = srtp_stream_home(stream->ssrc, capacity);
    while (slots[i].stream != NULL) i = (i + 1) & (capacity - 1);
    slots[i].stream = stream;
    slots[i].ssrc = stream->ssrc;
}

int srtp_stream_reserve(srtp_stream_table *table) {
    if (4 * (table->count + 1) <= 3 * table->capacity) return 0;
    size_t capacity = table->capacity ? 2 * table->capacity : FIRST_CAPACITY;
    srtp_stream_slot *slots = calloc(capacity, sizeof *slots);
    if (slots == NULL) return -1;
    for (size_t i = 0; i < table->capacity; i++)
        if (table->slots[i].stream != NULL) place(slots, capacity, table->slots[i].stream);
    free(table->slots);
    table->slots = slots;
    table->capacity = capacity;
    return 0;
}

void srtp_stream_insert(srtp_stream_table *table, srtp_stream *stream) {
    place(table->slots, table->capacity, stream);
    table->count++;
}

static size_t slot_holding(const srtp_stream_table *table, const srtp_stream *stream) {
    size_t i = srtp_stream_home(stream->ssrc, table->capacity);
    while (table->slots[i].stream != stream) i = (i + 1) & (table->capacity - 1);
    return i;
}

int srtp_stream_remove(srtp_stream_table *table, uint32_t ssrc) {
    srtp_stream *stream = srtp_stream_find(table, ssrc);
    if (stream == NULL) return 0;
    size_t mask = table->capacity - 1;
    size_t hole = slot_holding(table, stream);
    table->slots[hole].stream = NULL;
    table->count--;
    /* Those behind the hole may have been pushed past it: place them anew. */
    for (size_t i = (hole + 1) & mask; table->slots[i].stream != NULL; i = (i + 1) & mask) {
        srtp_stream *moved = table->slots[i].stream;
        table->slots[i].stream = NULL;
        place(table->slots, table->capacity, moved);
    }
    srtp_stream_free(stream);
    return 1;
}

static srtp_stream *with_windows(srtp_context *context, uint32_t ssrc, uint32_t rtp_window, uint32_t rtcp_window,
                                 int keep_fingerprints) {
    size_t rtp_words = srtp_replay_words(rtp_window);
    size_t rtcp_words = srtp_replay_words(rtcp_window);
    size_t fingerprints = keep_fingerprints ? srtp_replay_capacity(rtp_window) * SRTP_FINGERPRINT : 0;
    size_t size = sizeof(srtp_stream) + 8 * (rtp_words + rtcp_words) + fingerprints;
    size = (size + SRTP_CACHE_LINE - 1) / SRTP_CACHE_LINE * SRTP_CACHE_LINE;
    srtp_stream *stream = aligned_alloc(SRTP_CACHE_LINE, size);
    if (stream == NULL) return NULL;
    memset(stream, 0, size);
    uint64_t *memory = (uint64_t *)(stream + 1);
    stream->ssrc = ssrc;
    stream->context = context;
    srtp_replay_init(&stream->rtp.window, memory, rtp_window);
    srtp_replay_init(&stream->rtcp.window, memory + rtp_words, rtcp_window);
    if (keep_fingerprints) stream->fingerprints = (uint8_t *)(memory + rtp_words + rtcp_words);
    return stream;
}

srtp_stream *srtp_stream_new(srtp_context *context, uint32_t ssrc, int keep_fingerprints) {
    const srtp_parameters *p = &context->parameters;
    return with_windows(context, ssrc, p->rtp_window, p->rtcp_window, keep_fingerprints);
}

void srtp_stream_free(srtp_stream *stream) {
    if (stream == NULL) return;
    const srtp_key_shape *shape = &stream->context->parameters.shape;
    srtp_session_keys_free(stream->rtp.derived.keys, shape);
    srtp_session_keys_free(stream->rtcp.derived.keys, shape);
    if (stream->owns_context) srtp_context_free(stream->context);
    free(stream);
}

/* Puts `heir` in the stream's place: no index that is up to now used or free to be used will be used by it. */
static srtp_stream *succeed(srtp_stream_table *table, srtp_stream *stream, srtp_stream *heir) {
    if (heir == NULL) return NULL;
    heir->initial_roc = stream->initial_roc;
    srtp_replay_use_up(&heir->rtp.window, &stream->rtp.window, 0);
    srtp_replay_use_up(&heir->rtcp.window, &stream->rtcp.window, 0);
    table->slots[slot_holding(table, stream)].stream = heir;
    srtp_stream_free(stream);
    return heir;
}

int srtp_stream_retire(srtp_stream_table *table, srtp_stream *stream) {
    srtp_stream *rest = with_windows(stream->context, stream->ssrc, SRTP_MIN_WINDOW, SRTP_MIN_WINDOW, 0);
    if (succeed(table, stream, rest) == NULL) return -1;
    rest->retired = 1;
    return 0;
}

srtp_stream *srtp_stream_revive(srtp_stream_table *table, srtp_stream *stream) {
    const srtp_parameters *p = &stream->context->parameters;
    return succeed(table, stream, srtp_stream_new(stream->context, stream->ssrc, p->allow_repeat_tx));
}

void srtp_count_refusal(srtp_counters *counters, srtp_status status) {
    switch (status) {
    case SRTP_MALFORMED:
    case SRTP_TOO_LONG: counters->malformed++; break;
    case SRTP_AUTH_FAILED: counters->authentication_failures++; break;
    case SRTP_REPLAYED: counters->replays++; break;
    case SRTP_TOO_OLD: counters->too_old++; break;
    case SRTP_UNKNOWN_MKI: counters->unknown_mki++; break;
    case SRTP_KEY_EXPIRED: counters->key_expired++; break;
    default: counters->refused++; break;
    }
}
