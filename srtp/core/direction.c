#include "direction.h"

#include <stdlib.h>

srtp_direction *srtp_direction_new(srtp_context *any) {
    srtp_direction *direction = calloc(1, sizeof *direction);
    if (direction == NULL) return NULL;
    direction->any = any;
    srtp_lock_init(&direction->lock);
    return direction;
}

void srtp_direction_free(srtp_direction *direction) {
    if (direction == NULL) return;
    for (size_t i = 0; i < direction->streams.capacity; i++) srtp_stream_free(direction->streams.slots[i]);
    free(direction->streams.slots);
    srtp_context_free(direction->any);
    free(direction);
}

srtp_context *srtp_direction_context(const srtp_direction *direction, const srtp_stream *stream) {
    return stream != NULL ? stream->context : direction->any;
}
