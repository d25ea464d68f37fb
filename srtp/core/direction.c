#include "direction.h"
#include "packet.h"

#include <stdlib.h>

srtp_direction *srtp_direction_new(srtp_context *any) {
    srtp_direction *direction = calloc(1, sizeof *direction);
    if (direction == NULL) return NULL;
    direction->any = any;
    direction->rtp_overhead.least = direction->rtcp_overhead.least = SRTP_MAX_PACKET;
    if (any != NULL) srtp_direction_admit(direction, any);
    srtp_lock_init(&direction->lock);
    direction->process = srtp_process_enter();
    return direction;
}

static void admit(srtp_overhead *overhead, size_t most, size_t least) {
    if (most > overhead->most) overhead->most = most;
    if (least < overhead->least) overhead->least = least;
}

void srtp_direction_admit(srtp_direction *direction, const srtp_context *context) {
    int varies = context->parameters.cryptex != SRTP_CRYPTEX_OFF || context->parameters.roc_mode != 0;
    admit(&direction->rtp_overhead, context->rtp_overhead, varies ? 0 : context->rtp_overhead);
    admit(&direction->rtcp_overhead, context->rtcp_overhead, context->rtcp_overhead);
}

/* Streams looked at for each that comes: the hand has been round twice when an eighth more have come. */
#define LOOKS 16
/* So few may all stay as they are. */
#define FEW_STREAMS 64

static void doze(srtp_stream_table *streams, srtp_stream *stream) {
    int spares = stream->large || stream->rtp.derived.keys != NULL || stream->rtcp.derived.keys != NULL;
    if (!spares || stream->owns_context || stream->asleep) return;
    uint64_t processed = stream->rtp.counters.processed + stream->rtcp.counters.processed;
    srtp_stream *asleep = processed == stream->seen ? srtp_stream_asleep(&streams->pool, stream) : NULL;
    stream->seen = processed;
    if (asleep != NULL) srtp_stream_replace(streams, stream, asleep);
}

void srtp_direction_doze(srtp_direction *direction) {
    if (direction->streams.count < FEW_STREAMS) return;
    for (int i = 0; i < LOOKS; i++) {
        srtp_stream *stream = srtp_stream_next(&direction->streams, &direction->hand);
        if (stream == NULL) {
            direction->hand = 0;
            return;
        }
        doze(&direction->streams, stream);
    }
}

void srtp_direction_free(srtp_direction *direction) {
    if (direction == NULL) return;
    srtp_stream_table_free(&direction->streams);
    srtp_marks_free(&direction->marks);
    srtp_context_free(direction->any);
    free(direction);
}
