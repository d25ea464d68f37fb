/* HMAC-SHA1 of many packets by the SHA extensions of x86, two at a time: the rounds of one fill the waits of the
 * other. A stream whose packet ends takes the next, so that both stay busy whatever the lengths. */
#include "functions.h"

#ifdef SRTP_X86

#include "hmac_lane.h"
#include "sha1_shani.h"

typedef struct {
    srtp_shani_state state;
    srtp_hmac_lane lane;
    int outer; /* the lane's block is that of the outer hash */
} stream;

typedef struct {
    srtp_hmac_sha1_job *jobs;
    size_t count;
} queue;

/* Takes the next job, doing those of unusual tails on the spot. Returns 0 at the end of the queue. */
SRTP_SHANI_INLINE int begin(stream *s, queue *q)
{
    for (; q->count > 0; q->jobs++, q->count--) {
        srtp_hmac_sha1_job *job = q->jobs;
        if (job->tail_length > SRTP_HMAC_SHORT_TAIL) {
            srtp_hmac_sha1_shani(job->key, job->data, job->length, job->tail, job->tail_length, job->tag);
            continue;
        }
        q->jobs++;
        q->count--;
        srtp_hmac_lane_begin(&s->lane, job);
        s->state = srtp_shani_load(job->key->inner);
        s->outer = 0;
        return 1;
    }
    return 0;
}

/* Passes over blocks that are done: to the outer hash at the end of the inner, to the tag at the end of that.
 * Returns 0 when the job is done. */
SRTP_SHANI_INLINE int advance(stream *s, size_t blocks)
{
    if (srtp_hmac_lane_advance(&s->lane, blocks))
        return 1;
    if (s->outer) {
        srtp_shani_digest(s->state, s->lane.job->tag);
        return 0;
    }
    const srtp_shani_words message = srtp_shani_outer_message(s->state);
    for (unsigned i = 0; i < 4; i++)
        _mm_storeu_si128((__m128i *)(s->lane.last + 16 * i), srtp_shani_reverse(message.m[i]));
    s->state = srtp_shani_load(s->lane.job->key->outer);
    s->lane.data = s->lane.last;
    s->lane.blocks = 1;
    s->outer = 1;
    return 1;
}

SRTP_SHANI_INLINE void run_both(stream streams[2], size_t blocks)
{
    const uint8_t *first = streams[0].lane.data, *second = streams[1].lane.data;
    srtp_shani_state s[2] = {streams[0].state, streams[1].state};
    for (size_t offset = 0; offset < SRTP_SHA1_BLOCK * blocks; offset += SRTP_SHA1_BLOCK) {
        srtp_shani_words w[2] = {srtp_shani_read(first + offset), srtp_shani_read(second + offset)};
        srtp_shani_rounds(s, w, 2);
    }
    streams[0].state = s[0];
    streams[1].state = s[1];
}

SRTP_SHANI_INLINE void run_one(stream *s)
{
    size_t blocks;
    do {
        blocks = s->lane.blocks;
        for (size_t i = 0; i < blocks; i++)
            srtp_shani_block(&s->state, s->lane.data + SRTP_SHA1_BLOCK * i);
    } while (advance(s, blocks));
}

/* Two streams that are under way, and what waits behind them. */
SRTP_SHANI_INLINE void run_streams(stream streams[2], int busy[2], queue *q)
{
    while (busy[0] && busy[1]) {
        const size_t a = streams[0].lane.blocks, b = streams[1].lane.blocks;
        const size_t blocks = a < b ? a : b;
        run_both(streams, blocks);
        for (unsigned i = 0; i < 2; i++)
            if (!advance(&streams[i], blocks))
                busy[i] = begin(&streams[i], q);
    }
    for (unsigned i = 0; i < 2; i++)
        if (busy[i])
            run_one(&streams[i]);
}

SRTP_SHANI void srtp_hmac_sha1_batch_shani(srtp_hmac_sha1_job *jobs, size_t count)
{
    stream streams[2];
    queue q = {jobs, count};

    if (count == 1) {
        srtp_hmac_sha1_shani(jobs->key, jobs->data, jobs->length, jobs->tail, jobs->tail_length, jobs->tag);
        return;
    }
    int busy[2];
    busy[0] = begin(&streams[0], &q);
    busy[1] = begin(&streams[1], &q);
    run_streams(streams, busy, &q);
    for (unsigned i = 0; i < 2; i++)
        srtp_wipe(&streams[i].state, sizeof streams[i].state);
}

#endif
