/* What is known of a packet before its bytes are touched, and the batch's way to it. */
#ifndef SRTP_PLAN_H
#define SRTP_PLAN_H

#include "direction.h"
#include "transform.h"

/* Packets that a batch takes through the kernels at once. */
#define SRTP_CHUNK 64

typedef struct {
    srtp_context *context;
    srtp_stream *stream;        /* NULL when its SSRC is not known yet */
    srtp_master_key *key;
    srtp_session_keys *fresh;   /* made for this packet, by srtp_keys_at() */
    uint32_t ssrc;
    uint16_t sequence_number;   /* received */
    uint8_t repeat;             /* sent before, byte for byte the same as is to be shown */
    uint8_t cryptex;
    srtp_rtp_header header;
    srtp_tag_shape shape;       /* of the tag of an RTP packet that is not plain, or is received */
    uint32_t length;            /* received: of the packet without tag, index word and MKI */
    const uint8_t *mki;         /* received: where it lies */
    const uint8_t *tag;         /* received: where it lies */
} srtp_plan;

/* The most recent SRTP index of a stream, by which SRTCP finds a key with a <From, To> (RFC 3711 8.1.1). */
static inline uint64_t srtp_latest_index(const srtp_stream *stream) {
    if (stream == NULL) return 0;
    return stream->rtp.window.started ? stream->rtp.window.top : (uint64_t)stream->initial_roc << 16;
}

/* Plans a packet of a batch. 1: it is to be sealed by the kernels, and the state has been committed. 0: it has been
 * processed, or refused, and packet->status says so. */
int srtp_stage_protect(srtp_direction *direction, srtp_packet *packet, srtp_plan *plan);

typedef enum {
    SRTP_STAGED, /* its tag is to be computed; if it is authentic, the state is to be committed */
    SRTP_DONE,   /* it has been processed or refused, and packet->status says so */
    SRTP_ALONE,  /* it must be processed alone, after the staged ones; nothing has happened */
    SRTP_LATER,  /* what becomes of it depends on the staged ones, which must be finished first */
} srtp_staging;

/* Plans a received packet of the chunk `chunk`, as if the staged ones before it were authentic. */
srtp_staging srtp_stage_unprotect(srtp_direction *direction, srtp_packet *packet, srtp_plan *plan, uint64_t chunk);

/* A received packet is authentic: moves its index space, the lifetime of its key, and an overlap. */
static inline void srtp_commit_received(srtp_plan *p, srtp_index_space *space, srtp_lifetime *lifetime,
                                        uint64_t index) {
    srtp_replay_commit(&space->window, index);
    srtp_lifetime_count(lifetime);
    if (__builtin_expect(p->fresh != NULL, 0)) {
        srtp_keep_keys(p->context, p->key, space, index, p->fresh);
        p->fresh = NULL;
    }
    srtp_context_received(p->context, p->key);
}

static inline void srtp_commit_received_rtp(srtp_plan *p, uint64_t index) {
    srtp_commit_received(p, &p->stream->rtp, &p->key->rtp_lifetime, index);
    p->stream->pinned = 0;
}

/* Counts the status of an RTP packet, and puts it into it. */
static inline srtp_status srtp_counted(srtp_direction *direction, srtp_packet *packet, const srtp_plan *p,
                                       srtp_status status) {
    srtp_count(&direction->rtp, status);
    if (p->stream != NULL) srtp_count(&p->stream->rtp.counters, status);
    return packet->status = status;
}

#endif
