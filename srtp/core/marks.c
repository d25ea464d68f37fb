#include "marks.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 16

static size_t home(const srtp_marks *marks, uint32_t ssrc) {
    return (size_t)(ssrc * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (marks->size - 1);
}

static size_t after(const srtp_marks *marks, size_t i) { return (i + 1) & (marks->size - 1); }

static int same_key(const srtp_mark *one, const srtp_mark *other) {
    if (one->any_key || other->any_key) return one->any_key == other->any_key;
    return memcmp(&one->key, &other->key, sizeof one->key) == 0;
}

/* The place of a mark of the same SSRC and key, else the free one where it belongs. */
static srtp_mark *place_of(const srtp_marks *marks, const srtp_mark *mark) {
    size_t i = home(marks, mark->ssrc);
    while (marks->places[i].taken && (marks->places[i].ssrc != mark->ssrc || !same_key(&marks->places[i], mark)))
        i = after(marks, i);
    return &marks->places[i];
}

int srtp_marks_has(const srtp_marks *marks, const srtp_mark *mark) {
    return marks->count > 0 && place_of(marks, mark)->taken;
}

/* At most half of the places are taken. */
srtp_status srtp_marks_reserve(srtp_marks *marks, size_t more) {
    if (marks->count + more > SRTP_MOST_MARKS) return SRTP_TOO_MANY_STREAMS;
    srtp_marks larger = {NULL, marks->size > 0 ? marks->size : FIRST_SIZE, marks->count};
    while (larger.size < 2 * (marks->count + more)) larger.size *= 2;
    if (larger.size == marks->size) return SRTP_OK;
    larger.places = calloc(larger.size, sizeof *larger.places);
    if (larger.places == NULL) return SRTP_NO_MEMORY;
    const srtp_mark *mark;
    for (size_t position = 0; (mark = srtp_marks_next(marks, &position)) != NULL;) *place_of(&larger, mark) = *mark;
    free(marks->places);
    *marks = larger;
    return SRTP_OK;
}

void srtp_marks_raise(srtp_marks *marks, const srtp_mark *mark) {
    srtp_mark *place = place_of(marks, mark);
    srtp_mark raised = *mark;
    raised.taken = 1;
    if (!place->taken) marks->count++;
    if (place->taken && place->rtp_end > raised.rtp_end) raised.rtp_end = place->rtp_end;
    if (place->taken && place->rtcp_end > raised.rtcp_end) raised.rtcp_end = place->rtcp_end;
    *place = raised;
}

/* The index that the next RTP packet is near. */
static uint64_t position_of(const srtp_mark *mark) {
    return mark->pinned ? (uint64_t)mark->roc << 16 : mark->rtp_end;
}

static void merge(srtp_mark *floor, const srtp_mark *mark) {
    if (position_of(mark) > position_of(floor)) {
        floor->pinned = mark->pinned;
        floor->roc = mark->roc;
    }
    if (mark->rtp_end > floor->rtp_end) floor->rtp_end = mark->rtp_end;
    if (mark->rtcp_end > floor->rtcp_end) floor->rtcp_end = mark->rtcp_end;
}

int srtp_marks_floor(const srtp_marks *marks, uint32_t ssrc, const srtp_context *context, srtp_mark *floor) {
    int found = 0;
    if (marks->count == 0) return 0;
    for (size_t i = home(marks, ssrc); marks->places[i].taken; i = after(marks, i)) {
        const srtp_mark *mark = &marks->places[i];
        if (mark->ssrc != ssrc) continue;
        if (!mark->any_key && srtp_context_key_of_id(context, &mark->key) == NULL) continue;
        if (found)
            merge(floor, mark);
        else
            *floor = *mark;
        found = 1;
    }
    return found;
}

const srtp_mark *srtp_marks_next(const srtp_marks *marks, size_t *position) {
    while (*position < marks->size) {
        const srtp_mark *mark = &marks->places[(*position)++];
        if (mark->taken) return mark;
    }
    return NULL;
}

void srtp_marks_free(srtp_marks *marks) { free(marks->places); }
