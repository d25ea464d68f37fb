/* One HMAC-SHA1 on its way through a kernel that works on several at once. */
#ifndef SRTP_HMAC_LANE_H
#define SRTP_HMAC_LANE_H

#include "hmac_blocks.h"

/* A run of blocks in a row in memory: the whole blocks of the packet, then the last blocks. */
typedef struct {
    const uint8_t *data;
    size_t blocks;       /* left in this run */
    size_t last_blocks;  /* still to come after it: 1 or 2, or 0 in the last run */
    srtp_hmac_sha1_job *job;
    uint8_t last[2 * SRTP_SHA1_BLOCK];
} srtp_hmac_lane;

/* Begins a job, whose tail must be short. */
SRTP_INLINE void srtp_hmac_lane_begin(srtp_hmac_lane *lane, srtp_hmac_sha1_job *job)
{
    lane->job = job;
    lane->data = job->data;
    lane->blocks = job->length / SRTP_SHA1_BLOCK;
    lane->last_blocks = srtp_hmac_last_blocks(lane->last, job->data, job->length, job->tail, job->tail_length);
    if (lane->blocks == 0) {
        lane->data = lane->last;
        lane->blocks = lane->last_blocks;
        lane->last_blocks = 0;
    }
}

/* Passes over `blocks` blocks of the run. Returns 0 when nothing is left of the message. */
SRTP_INLINE int srtp_hmac_lane_advance(srtp_hmac_lane *lane, size_t blocks)
{
    lane->data += SRTP_SHA1_BLOCK * blocks;
    lane->blocks -= blocks;
    if (lane->blocks == 0 && lane->last_blocks > 0) {
        lane->data = lane->last;
        lane->blocks = lane->last_blocks;
        lane->last_blocks = 0;
    }
    return lane->blocks > 0;
}

#endif
