#include <stdlib.h>
#include <string.h>

#include "direction.h"

#define FIRST_CAPACITY 8

static size_t slot_of(uint32_t ssrc, size_t capacity) {
    uint32_t h = ssrc;
    h = (h ^ (h >> 16)) * 0x85ebca6bu;
    h = (h ^ (h >> 13)) * 0xc2b2ae35u;
    return (h ^ (h >> 16)) & (capacity - 1);
}

srtp_stream *srtp_stream_find(const srtp_stream_table *table, uint32_t ssrc) {
    if (table->count == 0) return NULL;
    for (size_t i = slot_of(ssrc, table->capacity);; i = (i + 1) & (table->capacity - 1)) {
        srtp_stream *stream = table->slots[i];
        if (stream == NULL || stream->ssrc == ssrc) return stream;
    }
}

static void place(srtp_stream **slots, size_t capacity, srtp_stream *stream) {
    size_t i = slot_of(stream->ssrc, capacity);
    while (slots[i] != NULL) i = (i + 1) & (capacity - 1);
    slots[i] = stream;
}

int srtp_stream_insert(srtp_stream_table *table, srtp_stream *stream) {
    if (4 * (table->count + 1) > 3 * table->capacity) {
        size_t capacity = table->capacity ? 2 * table->capacity : FIRST_CAPACITY;
        srtp_stream **slots = calloc(capacity, sizeof *slots);
        if (slots == NULL) return -1;
        for (size_t i = 0; i < table->capacity; i++)
            if (table->slots[i] != NULL) place(slots, capacity, table->slots[i]);
        free(table->slots);
        table->slots = slots;
        table->capacity = capacity;
    }
    place(table->slots, table->capacity, stream);
    table->count++;
    return 0;
}

int srtp_stream_remove(srtp_stream_table *table, uint32_t ssrc) {
    srtp_stream *stream = srtp_stream_find(table, ssrc);
    if (stream == NULL) return 0;
    size_t mask = table->capacity - 1;
    size_t hole = slot_of(ssrc, table->capacity);
    while (table->slots[hole] != stream) hole = (hole + 1) & mask;
    table->slots[hole] = NULL;
    table->count--;
    /* Those behind the hole may have been pushed past it: place them anew. */
    for (size_t i = (hole + 1) & mask; table->slots[i] != NULL; i = (i + 1) & mask) {
        srtp_stream *moved = table->slots[i];
        table->slots[i] = NULL;
        place(table->slots, table->capacity, moved);
    }
    srtp_stream_free(stream);
    return 1;
}

srtp_stream *srtp_stream_new(const srtp_direction *direction, uint32_t ssrc, int keep_fingerprints) {
    size_t rtp_words = srtp_replay_words(direction->parameters.rtp_window);
    size_t rtcp_words = srtp_replay_words(direction->parameters.rtcp_window);
    size_t fingerprint_words = keep_fingerprints ? 64 * SRTP_FINGERPRINT / 8 : 0;
    size_t words = rtp_words * (1 + fingerprint_words) + rtcp_words;
    srtp_stream *stream = calloc(1, sizeof *stream + 8 * words);
    if (stream == NULL) return NULL;
    uint64_t *memory = (uint64_t *)(stream + 1);
    stream->ssrc = ssrc;
    srtp_replay_init(&stream->rtp.window, memory, direction->parameters.rtp_window);
    srtp_replay_init(&stream->rtcp.window, memory + rtp_words, direction->parameters.rtcp_window);
    if (keep_fingerprints) stream->rtp.fingerprints = (uint8_t *)(memory + rtp_words + rtcp_words);
    return stream;
}

void srtp_stream_free(srtp_stream *stream) { free(stream); }
