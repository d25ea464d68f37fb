/* HMAC-SHA1 of many packets in the lanes of wide registers: the scheduling that the kernels of 8 and 16 lanes share.
 *
 * The including file defines SRTP_LANES, and LANES_INLINE with its target attribute, before it includes this, and
 * hands in its two functions:
 *   hash(state, data, blocks)  runs each lane over `blocks` blocks at its own address
 *   outer(state, digest)       runs the block that holds the inner digest and the padding of the outer hash
 * States are matrices [word][lane]. A lane whose packet ends takes the next job, longest first, so that lanes stay
 * full with mixed lengths and all run dry together. The outer hashes wait until all lanes have one. */
#ifndef SRTP_HMAC_LANES_H
#define SRTP_HMAC_LANES_H

#include "hmac_lane.h"

typedef uint32_t srtp_lane_words[5][SRTP_LANES];

typedef void srtp_lanes_hash(srtp_lane_words state, const uint8_t *const data[SRTP_LANES], size_t blocks);
typedef void srtp_lanes_outer(srtp_lane_words state, srtp_lane_words digest);

/* Packets of one call that are put in order together. */
#define SRTP_LANES_CHUNK 256
/* Lengths, in blocks, that the order tells apart: all above count as one. */
#define SRTP_LANES_CLASSES 64

typedef struct {
    srtp_lane_words state __attribute__((aligned(64)));
    srtp_lane_words digest __attribute__((aligned(64)));      /* inner hashes that are done */
    srtp_lane_words outer_state __attribute__((aligned(64))); /* of the same jobs, from their keys */
    srtp_hmac_sha1_job *done[SRTP_LANES];                     /* the same jobs */
    size_t done_count;
    srtp_hmac_lane lanes[SRTP_LANES];
    size_t busy; /* lanes with a job: the first ones */
} srtp_lanes;

LANES_INLINE void lanes_set_column(srtp_lane_words matrix, size_t lane, const uint32_t words[5])
{
    for (unsigned i = 0; i < 5; i++)
        matrix[i][lane] = words[i];
}

LANES_INLINE void lanes_begin(srtp_lanes *l, size_t lane, srtp_hmac_sha1_job *job)
{
    srtp_hmac_lane_begin(&l->lanes[lane], job);
    lanes_set_column(l->state, lane, job->key->inner);
}

/* Finishes the jobs whose inner hashes are done. */
LANES_INLINE void lanes_finish(srtp_lanes *l, srtp_lanes_outer *outer)
{
    outer(l->outer_state, l->digest);
    for (size_t j = 0; j < l->done_count; j++)
        for (unsigned i = 0; i < 5; i++)
            srtp_store_be32(l->done[j]->tag + 4 * i, l->outer_state[i][j]);
    l->done_count = 0;
}

LANES_INLINE void lanes_inner_done(srtp_lanes *l, size_t lane, srtp_lanes_outer *outer)
{
    const size_t j = l->done_count++;
    srtp_hmac_sha1_job *job = l->lanes[lane].job;
    l->done[j] = job;
    lanes_set_column(l->outer_state, j, job->key->outer);
    for (unsigned i = 0; i < 5; i++)
        l->digest[i][j] = l->state[i][lane];
    if (l->done_count == SRTP_LANES)
        lanes_finish(l, outer);
}

/* The last busy lane moves to a lane that has run dry. */
LANES_INLINE void lanes_close(srtp_lanes *l, size_t lane)
{
    const size_t last = --l->busy;
    if (lane == last)
        return;
    l->lanes[lane] = l->lanes[last];
    if (l->lanes[last].last_blocks == 0)
        l->lanes[lane].data = l->lanes[lane].last + (l->lanes[last].data - l->lanes[last].last);
    for (unsigned i = 0; i < 5; i++)
        l->state[i][lane] = l->state[i][last];
}

/* Runs all lanes to the nearest end of a run of blocks. Returns how many blocks that was. */
LANES_INLINE size_t lanes_step(srtp_lanes *l, srtp_lanes_hash *hash)
{
    const uint8_t *data[SRTP_LANES];
    size_t blocks = l->lanes[0].blocks;
    for (size_t lane = 0; lane < l->busy; lane++) {
        data[lane] = l->lanes[lane].data;
        blocks = l->lanes[lane].blocks < blocks ? l->lanes[lane].blocks : blocks;
    }
    /* Lanes without a job do what lane 0 does, for nothing. */
    for (size_t lane = l->busy; lane < SRTP_LANES; lane++)
        data[lane] = data[0];
    hash(l->state, data, blocks);
    return blocks;
}

/* Puts the indices of jobs in order, longest first, by counting. */
LANES_INLINE void lanes_order(uint8_t order[SRTP_LANES_CHUNK], const srtp_hmac_sha1_job *jobs, size_t count)
{
    uint16_t start[SRTP_LANES_CLASSES + 1] = {0};
    uint8_t class[SRTP_LANES_CHUNK];
    unsigned mixed = 0;

    for (size_t i = 0; i < count; i++) {
        const size_t blocks = (jobs[i].length + jobs[i].tail_length + 8) / SRTP_SHA1_BLOCK;
        class[i] = (uint8_t)(SRTP_LANES_CLASSES - 1 - (blocks < SRTP_LANES_CLASSES ? blocks : SRTP_LANES_CLASSES - 1));
        order[i] = (uint8_t)i;
        mixed |= (unsigned)(class[i] ^ class[0]);
    }
    if (!mixed)
        return;
    for (size_t i = 0; i < count; i++)
        start[class[i] + 1]++;
    for (size_t c = 0; c < SRTP_LANES_CLASSES; c++)
        start[c + 1] += start[c];
    for (size_t i = 0; i < count; i++)
        order[start[class[i]]++] = (uint8_t)i;
}

/* One chunk of jobs. When the jobs run out and no more than `few` lanes are busy, their last blocks, `one` at a time,
 * cost less than whole registers for them. */
LANES_INLINE void lanes_run(srtp_lanes *l, srtp_hmac_sha1_job *jobs, size_t count, size_t few,
                            srtp_lanes_hash *hash, srtp_lanes_outer *outer, srtp_sha1_blocks_function *one)
{
    uint8_t order[SRTP_LANES_CHUNK];
    size_t next = 0;

    lanes_order(order, jobs, count);
    for (l->busy = 0; l->busy < SRTP_LANES && next < count; l->busy++)
        lanes_begin(l, l->busy, &jobs[order[next++]]);
    while (l->busy > few) {
        const size_t blocks = lanes_step(l, hash);
        for (size_t lane = l->busy; lane-- > 0;) {
            if (srtp_hmac_lane_advance(&l->lanes[lane], blocks))
                continue;
            lanes_inner_done(l, lane, outer);
            if (next < count)
                lanes_begin(l, lane, &jobs[order[next++]]);
            else
                lanes_close(l, lane);
        }
    }
    for (size_t lane = 0; lane < l->busy; lane++) {
        uint32_t state[5];
        size_t blocks;
        for (unsigned i = 0; i < 5; i++)
            state[i] = l->state[i][lane];
        do {
            blocks = l->lanes[lane].blocks;
            one(state, l->lanes[lane].data, blocks);
        } while (srtp_hmac_lane_advance(&l->lanes[lane], blocks));
        lanes_set_column(l->state, lane, state);
        lanes_inner_done(l, lane, outer);
    }
    if (l->done_count > 0)
        lanes_finish(l, outer);
}

LANES_INLINE int lanes_take(const srtp_hmac_sha1_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (jobs[i].tail_length > SRTP_HMAC_SHORT_TAIL)
            return 0;
    return 1;
}

/* Any number of jobs. Fewer than `enough`, or with unusual tails, they go to the batch function `fewer`. */
LANES_INLINE void lanes_batch(srtp_hmac_sha1_job *jobs, size_t count, size_t enough, size_t few,
                              srtp_lanes_hash *hash, srtp_lanes_outer *outer, srtp_sha1_blocks_function *one,
                              void (*fewer)(srtp_hmac_sha1_job *jobs, size_t count))
{
    srtp_lanes l;

    if (count >= enough) {
        l.done_count = 0;
        memset(l.digest, 0, sizeof l.digest);
        memset(l.outer_state, 0, sizeof l.outer_state);
        memset(l.state, 0, sizeof l.state);
        for (size_t chunk; count >= enough; jobs += chunk, count -= chunk) {
            chunk = count < SRTP_LANES_CHUNK ? count : SRTP_LANES_CHUNK;
            if (lanes_take(jobs, chunk))
                lanes_run(&l, jobs, chunk, few, hash, outer, one);
            else
                fewer(jobs, chunk);
        }
        srtp_wipe(l.digest, sizeof l.digest);
        srtp_wipe(l.outer_state, sizeof l.outer_state);
        srtp_wipe(l.state, sizeof l.state);
    }
    if (count > 0)
        fewer(jobs, count);
}

#endif
