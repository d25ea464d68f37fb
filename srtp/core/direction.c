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

void srtp_direction_free(srtp_direction *direction) {
    if (direction == NULL) return;
    srtp_stream_table_free(&direction->streams);
    srtp_marks_free(&direction->marks);
    srtp_context_free(direction->any);
    free(direction);
}
