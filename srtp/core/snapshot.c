#include "snapshot.h"

#include <stdlib.h>

srtp_snapshot *srtp_snapshot_take(const srtp_direction *direction) {
    const srtp_stream_table *table = &direction->streams;
    srtp_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL) return NULL;
    snapshot->rtp = direction->rtp;
    snapshot->rtcp = direction->rtcp;
    snapshot->streams = calloc(table->count + 1, sizeof *snapshot->streams);
    int complete = snapshot->streams != NULL;
    const srtp_stream *stream;
    for (size_t position = 0; complete && (stream = srtp_stream_next(table, &position)) != NULL;) {
        srtp_stream *copy = srtp_stream_copy(&snapshot->pool, stream);
        if (copy != NULL) snapshot->streams[snapshot->count++] = copy;
        complete = copy != NULL;
    }
    if (complete) return snapshot;
    srtp_snapshot_free(snapshot);
    return NULL;
}

void srtp_snapshot_free(srtp_snapshot *snapshot) {
    if (snapshot == NULL) return;
    for (size_t i = 0; i < snapshot->count; i++) srtp_stream_free(&snapshot->pool, snapshot->streams[i]);
    srtp_stream_pool_free(&snapshot->pool);
    free(snapshot->streams);
    free(snapshot);
}
