#include "stream.h"

#include <stdlib.h>
#include <string.h>

static srtp_stream *with_windows(srtp_stream_pool *pool, srtp_context *context, uint32_t ssrc, uint32_t rtp_window,
                                 uint32_t rtcp_window, int keep_fingerprints) {
    size_t rtp_words = srtp_replay_words(rtp_window);
    size_t rtcp_words = srtp_replay_words(rtcp_window);
    size_t fingerprints = keep_fingerprints ? srtp_replay_capacity(rtp_window) * SRTP_FINGERPRINT : 0;
    size_t beside = 8 * (rtp_words + rtcp_words) + fingerprints;
    size_t size = (sizeof(srtp_stream) + beside + SRTP_CACHE_LINE - 1) / SRTP_CACHE_LINE * SRTP_CACHE_LINE;
    srtp_stream *stream = beside > 0 ? aligned_alloc(SRTP_CACHE_LINE, size) : srtp_stream_pool_take(pool);
    if (stream == NULL) return NULL;
    memset(stream, 0, size);
    uint64_t *memory = (uint64_t *)(stream + 1);
    stream->ssrc = ssrc;
    stream->context = context;
    stream->large = beside > 0;
    stream->pinned = 1;
    stream->born = context->past.count;
    srtp_replay_init(&stream->rtp.window, memory, rtp_window);
    srtp_replay_init(&stream->rtcp.window, memory + rtp_words, rtcp_window);
    if (keep_fingerprints) stream->fingerprints = (uint8_t *)(memory + rtp_words + rtcp_words);
    return stream;
}

srtp_stream *srtp_stream_new(srtp_stream_pool *pool, srtp_context *context, uint32_t ssrc, int keep_fingerprints) {
    const srtp_parameters *p = &context->parameters;
    return with_windows(pool, context, ssrc, p->rtp_window, p->rtcp_window, keep_fingerprints);
}

void srtp_stream_begin_at(srtp_stream *stream, const srtp_mark *floor) {
    stream->pinned = floor->pinned;
    stream->initial_roc = floor->roc;
    srtp_replay_use_up(&stream->rtp.window, floor->rtp_end);
    srtp_replay_use_up(&stream->rtcp.window, floor->rtcp_end);
}

static uint64_t end_of(const srtp_replay_window *window) { return window->started ? window->top + 1 : 0; }

void srtp_stream_wake_as(srtp_stream *awake, const srtp_stream *asleep) {
    awake->initial_roc = asleep->initial_roc;
    awake->pinned = asleep->pinned;
    awake->born = asleep->born;
    awake->rtp.counters = asleep->rtp.counters;
    awake->rtcp.counters = asleep->rtcp.counters;
    srtp_replay_use_up(&awake->rtp.window, end_of(&asleep->rtp.window));
    srtp_replay_use_up(&awake->rtcp.window, end_of(&asleep->rtcp.window));
}

srtp_stream *srtp_stream_asleep(srtp_stream_pool *pool, const srtp_stream *stream) {
    srtp_stream *asleep = with_windows(pool, stream->context, stream->ssrc, SRTP_MIN_WINDOW, SRTP_MIN_WINDOW, 0);
    if (asleep == NULL) return NULL;
    srtp_stream_wake_as(asleep, stream);
    asleep->asleep = 1;
    return asleep;
}

static void copy_space(srtp_index_space *copy, const srtp_index_space *space) {
    srtp_replay_copy(&copy->window, &space->window);
    copy->counters = space->counters;
}

srtp_stream *srtp_stream_copy(srtp_stream_pool *pool, const srtp_stream *stream) {
    if (stream->asleep) { /* as it will be when it wakes */
        srtp_stream *awake = srtp_stream_new(pool, stream->context, stream->ssrc, 0);
        if (awake != NULL) srtp_stream_wake_as(awake, stream);
        return awake;
    }
    srtp_stream *copy =
        with_windows(pool, stream->context, stream->ssrc, stream->rtp.window.size, stream->rtcp.window.size, 0);
    if (copy == NULL) return NULL;
    copy->pinned = stream->pinned;
    copy->initial_roc = stream->initial_roc;
    copy->born = stream->born;
    copy_space(&copy->rtp, &stream->rtp);
    copy_space(&copy->rtcp, &stream->rtcp);
    return copy;
}

static void renew_space(srtp_index_space *space, const srtp_index_space *old) {
    srtp_replay_resized(&space->window, &old->window);
    space->counters = old->counters;
}

srtp_stream *srtp_stream_renewed(srtp_stream_pool *pool, const srtp_stream *stream, srtp_context *context,
                                 int keep_fingerprints) {
    srtp_stream *renewed = srtp_stream_new(pool, context, stream->ssrc, keep_fingerprints);
    if (renewed == NULL) return NULL;
    renewed->pinned = stream->pinned;
    renewed->initial_roc = stream->initial_roc;
    renewed->born = stream->born;
    renew_space(&renewed->rtp, &stream->rtp);
    renew_space(&renewed->rtcp, &stream->rtcp);
    const srtp_replay_window *window = &renewed->rtp.window, *old = &stream->rtp.window;
    if (renewed->fingerprints == NULL || stream->fingerprints == NULL || !old->started) return renewed;
    for (uint64_t age = 0; age < window->size && age < old->size && age <= old->top; age++) {
        uint64_t index = old->top - age;
        memcpy(srtp_stream_fingerprint(renewed, index), srtp_stream_fingerprint(stream, index), SRTP_FINGERPRINT);
    }
    return renewed;
}

static void free_keys(srtp_stream *stream, srtp_derived_keys *derived) {
    if (derived->keys != NULL) srtp_session_keys_free(derived->keys, &stream->context->parameters.shape);
}

void srtp_stream_free(srtp_stream_pool *pool, srtp_stream *stream) {
    if (stream == NULL) return;
    free_keys(stream, &stream->rtp.derived);
    free_keys(stream, &stream->rtcp.derived);
    if (stream->owns_context) srtp_context_free(stream->context);
    if (stream->large)
        free(stream);
    else
        srtp_stream_pool_give(pool, stream);
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
