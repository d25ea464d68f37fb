#include "sender_marks.h"

#include <stdlib.h>
#include <string.h>

srtp_stream *srtp_sender_new(srtp_direction *direction, srtp_context *context, uint32_t ssrc) {
    srtp_mark floor;
    if (srtp_stream_reserve(&direction->streams) != 0) return NULL;
    srtp_stream *stream =
        srtp_stream_new(&direction->streams.pool, context, ssrc, context->parameters.allow_repeat_tx);
    if (stream == NULL) return NULL;
    if (srtp_marks_floor(&direction->marks, ssrc, context, &floor)) srtp_stream_begin_at(stream, &floor);
    srtp_stream_insert(&direction->streams, stream);
    return stream;
}

static uint64_t end_of(const srtp_replay_window *window) { return window->started ? window->top + 1 : 0; }

/* The names of the keys that the stream may have been under; more than `most` when there were too many to tell. */
static size_t keys_of(const srtp_stream *stream, srtp_key_id *ids, size_t most) {
    const srtp_context *context = stream->context;
    const srtp_past_keys *past = &context->past;
    size_t count = 0;
    if (past->count - stream->born > SRTP_PAST_KEYS) return most + 1;
    for (uint32_t n = stream->born; n != past->count && count < most; n++) ids[count++] = past->ids[n % SRTP_PAST_KEYS];
    for (const srtp_master_key *key = context->keys; key != NULL; key = key->next) {
        if (key != context->current && key->rtp_lifetime.used == 0 && key->rtcp_lifetime.used == 0) continue;
        if (count == most) return most + 1;
        ids[count++] = key->id;
    }
    return count;
}

/* Leaves the mark for each of the keys, or for none. */
static srtp_status leave_marks(srtp_marks *marks, srtp_mark *mark, const srtp_key_id *ids, size_t count) {
    size_t fresh = 0;
    for (size_t i = 0; i < count; i++) {
        mark->key = ids[i];
        fresh += !srtp_marks_has(marks, mark);
    }
    srtp_status status = srtp_marks_reserve(marks, fresh);
    if (status != SRTP_OK) return status;
    for (size_t i = 0; i < count; i++) {
        mark->key = ids[i];
        srtp_marks_raise(marks, mark);
    }
    return SRTP_OK;
}

srtp_status srtp_sender_remove(srtp_direction *direction, srtp_stream *stream) {
    srtp_key_id ids[SRTP_MOST_KEYS_MARKED] = {0};
    srtp_mark mark = {.ssrc = stream->ssrc,
                      .roc = stream->initial_roc,
                      .pinned = stream->pinned,
                      .rtp_end = end_of(&stream->rtp.window),
                      .rtcp_end = end_of(&stream->rtcp.window)};
    if (mark.rtp_end > 0 || mark.rtcp_end > 0 || (mark.pinned && mark.roc > 0)) {
        size_t count = keys_of(stream, ids, SRTP_MOST_KEYS_MARKED);
        mark.any_key = count > SRTP_MOST_KEYS_MARKED;
        srtp_status status = leave_marks(&direction->marks, &mark, ids, mark.any_key ? 1 : count);
        if (status != SRTP_OK) return status;
    }
    srtp_stream_remove(&direction->streams, stream->ssrc);
    return SRTP_OK;
}

/* Whether the sender goes on at an RTP index that the mark has used: then it could but stumble ahead. */
static int is_behind(const srtp_stream *stream, const srtp_mark *mark) {
    return !stream->pinned && end_of(&stream->rtp.window) < mark->rtp_end;
}

static void obey(srtp_stream *stream, const srtp_mark *mark) {
    srtp_replay_use_up(&stream->rtp.window, mark->rtp_end);
    srtp_replay_use_up(&stream->rtcp.window, mark->rtcp_end);
}

/* The stream under `context` that a mark of the key is about, or NULL. Marks for any key were obeyed at its beginning. */
static srtp_stream *subject_of(const srtp_direction *direction, const srtp_mark *mark, const srtp_context *context,
                               const srtp_master_key *key) {
    if (mark->any_key || memcmp(&mark->key, &key->id, sizeof key->id) != 0) return NULL;
    srtp_stream *stream = srtp_stream_look_up(&direction->streams, mark->ssrc);
    return stream != NULL && stream->context == context ? stream : NULL;
}

static srtp_status check_marks(const srtp_direction *direction, const srtp_context *context,
                               const srtp_master_key *key, uint32_t *ssrc) {
    const srtp_mark *mark;
    for (size_t position = 0; (mark = srtp_marks_next(&direction->marks, &position)) != NULL;) {
        const srtp_stream *stream = subject_of(direction, mark, context, key);
        if (stream == NULL || !is_behind(stream, mark)) continue;
        *ssrc = stream->ssrc;
        return SRTP_INDEX_REUSED;
    }
    return SRTP_OK;
}

static void obey_marks(const srtp_direction *direction, const srtp_context *context, const srtp_master_key *key) {
    const srtp_mark *mark;
    for (size_t position = 0; (mark = srtp_marks_next(&direction->marks, &position)) != NULL;) {
        srtp_stream *stream = subject_of(direction, mark, context, key);
        if (stream != NULL) obey(stream, mark);
    }
}

srtp_status srtp_senders_obey(srtp_direction *direction, const srtp_context *context, const srtp_master_key *key,
                              uint32_t *ssrc) {
    srtp_status status = check_marks(direction, context, key, ssrc);
    if (status == SRTP_OK) obey_marks(direction, context, key);
    return status;
}

typedef struct {
    srtp_stream *stream;
    srtp_stream *heir;
} succession;

static void free_heirs(srtp_direction *direction, succession *all, size_t count) {
    for (size_t i = 0; i < count; i++) srtp_stream_free(&direction->streams.pool, all[i].heir);
    free(all);
}

/* The streams of `old`, each with its heir under `context`; NULL without memory. */
static succession *heirs_of(srtp_direction *direction, const srtp_context *old, srtp_context *context, int sends,
                            size_t *count) {
    succession *all = calloc(direction->streams.count + 1, sizeof *all);
    srtp_stream *stream;
    *count = 0;
    if (all == NULL) return NULL;
    for (size_t position = 0; (stream = srtp_stream_next(&direction->streams, &position)) != NULL;) {
        if (stream->context != old) continue;
        srtp_stream *heir = srtp_stream_renewed(&direction->streams.pool, stream, context,
                                                sends && context->parameters.allow_repeat_tx);
        if (heir == NULL) {
            free_heirs(direction, all, *count);
            return NULL;
        }
        all[(*count)++] = (succession){stream, heir};
    }
    return all;
}

static void inherit_past(srtp_context *context, const srtp_context *old) {
    context->past = old->past;
    for (const srtp_master_key *key = old->keys; key != NULL; key = key->next)
        if (srtp_context_key_of_id(context, &key->id) == NULL) srtp_context_note_past(context, key);
}

/* The next key from `key` on that `old` has not: what was there has been obeyed since the streams began. */
static const srtp_master_key *next_new(const srtp_master_key *key, const srtp_context *old) {
    while (key != NULL && srtp_context_key_of_id(old, &key->id) != NULL) key = key->next;
    return key;
}

srtp_status srtp_direction_renew(srtp_direction *direction, srtp_context *old, srtp_context *context, int sends,
                                 uint32_t *ssrc) {
    const srtp_master_key *key = sends ? next_new(context->keys, old) : NULL;
    for (; key != NULL; key = next_new(key->next, old)) {
        srtp_status status = check_marks(direction, old, key, ssrc);
        if (status != SRTP_OK) return status;
    }
    size_t count;
    succession *all = heirs_of(direction, old, context, sends, &count);
    if (all == NULL) return SRTP_NO_MEMORY;
    inherit_past(context, old);
    int own = direction->any != old;
    for (size_t i = 0; i < count; i++) {
        all[i].stream->owns_context = 0; /* it is freed below */
        all[i].heir->owns_context = (uint8_t)own;
        srtp_stream_replace(&direction->streams, all[i].stream, all[i].heir);
    }
    free(all);
    if (!own) direction->any = context;
    key = sends ? next_new(context->keys, old) : NULL;
    for (; key != NULL; key = next_new(key->next, old)) obey_marks(direction, context, key);
    srtp_direction_admit(direction, context);
    srtp_context_free(old);
    return SRTP_OK;
}
