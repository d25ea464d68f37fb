/* What a direction is at one moment, to be looked at when the direction's lock has been given back. */
#ifndef SRTP_SNAPSHOT_H
#define SRTP_SNAPSHOT_H

#include "direction.h"

typedef struct {
    srtp_stream_pool pool;
    srtp_stream **streams;      /* copies, in no order */
    size_t count;
    srtp_counters rtp;
    srtp_counters rtcp;
} srtp_snapshot;

/* Copies the streams; the caller holds the lock. NULL without memory. */
srtp_snapshot *srtp_snapshot_take(const srtp_direction *direction);
/* NULL is allowed. */
void srtp_snapshot_free(srtp_snapshot *snapshot);

#endif
