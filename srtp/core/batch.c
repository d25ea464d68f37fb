/* Many packets at once: their plans are made in order, one after another; ciphers and tags are then computed by the
 * kernels for many packets; and the state moves in order again. What the kernels gain nothing by having many of, or
 * what is out of the ordinary, is processed alone; a packet whose fate hangs on one before it waits until that is
 * done. So what comes out is what one call a packet would give. */
#include "plan.h"
#include "transform.h"

typedef struct {
    const srtp_kernels *kernels;
    uint64_t number;            /* of srtp_direction.chunks */
    size_t count;
    size_t ctr_count;
    srtp_packet *packets[SRTP_CHUNK];
    srtp_plan plans[SRTP_CHUNK];
    uint8_t roc[SRTP_CHUNK][4];
    srtp_aes_ctr_job ctr[SRTP_CHUNK];
    srtp_hmac_sha1_job hmac[SRTP_CHUNK]; /* one a packet */
} chunk;

static void clear(chunk *c) { c->count = c->ctr_count = 0; }

static void start(srtp_direction *direction, chunk *c) {
    c->number = ++direction->chunks;
    clear(c);
}

static void add_ctr(chunk *c, const srtp_plan *p, const srtp_packet *packet, size_t length) {
    srtp_aes_ctr_job *job = &c->ctr[c->ctr_count++];
    job->key = &p->key->rtp->aes;
    job->in = packet->in + p->header.length;
    job->out = packet->out + p->header.length;
    job->length = length - p->header.length;
    srtp_counter_block(&p->key->rtp->salt, p->ssrc, packet->index, job->iv);
}

/* The packet, whose plan is the chunk's last, with its tag to be computed over `data`. */
static void add_packet(chunk *c, srtp_packet *packet, const uint8_t *data, size_t length) {
    const srtp_plan *p = &c->plans[c->count];
    srtp_hmac_sha1_job *job = &c->hmac[c->count];
    uint8_t *roc = c->roc[c->count];
    srtp_store32(roc, (uint32_t)(packet->index >> 16));
    job->key = &p->key->rtp->authentication;
    job->data = data;
    job->length = length;
    job->tail = roc;
    job->tail_length = 4;
    c->kernels = p->context->kernels;
    c->packets[c->count++] = packet;
}

static int enciphers(const srtp_context *context) {
    return context->parameters.encrypt_rtp && context->parameters.shape.cipher != SRTP_NULL_CIPHER;
}

static void add_protect(chunk *c, srtp_packet *packet) {
    const srtp_plan *p = &c->plans[c->count];
    const srtp_context *context = p->context;
    uint8_t *out = packet->out;
    if (packet->in != out) srtp_copy_header(out, packet->in, p->header.length);
    if (enciphers(context))
        add_ctr(c, p, packet, packet->length);
    else if (packet->in != out)
        memcpy(out + p->header.length, packet->in + p->header.length, packet->length - p->header.length);
    uint8_t *tag = srtp_append_mki(context, p->key, out + packet->length);
    packet->out_length = (size_t)(tag - out) + context->parameters.rtp_tag_length;
    add_packet(c, packet, out, packet->length);
}

static void finish_protect(chunk *c) {
    if (c->ctr_count > 0) c->kernels->aes_ctr_batch(c->ctr, c->ctr_count);
    if (c->count > 0) c->kernels->hmac_sha1_batch(c->hmac, c->count);
    for (size_t i = 0; i < c->count; i++) {
        srtp_packet *packet = c->packets[i];
        size_t tag_length = c->plans[i].context->parameters.rtp_tag_length;
        srtp_copy_tag(packet->out + packet->out_length - tag_length, c->hmac[i].tag, tag_length);
    }
    clear(c);
}

/* While a packet is worked on, the state of one some way behind it comes from memory. */
#define AHEAD 16
typedef void (*prefetch)(const srtp_stream_table *table, uint32_t ssrc);

static inline void fetch(const srtp_stream_table *streams, prefetch stream, const srtp_packet *packets, size_t i,
                         size_t count) {
    if (i < count && packets[i].length >= 12) stream(streams, srtp_load32(packets[i].in + 8));
    if (i + AHEAD < count && packets[i + AHEAD].length >= 12)
        srtp_stream_prefetch_bucket(streams, srtp_load32(packets[i + AHEAD].in + 8));
}

static inline void fetch_first(const srtp_stream_table *streams, prefetch stream, const srtp_packet *packets,
                               size_t count) {
    if (streams->count <= SRTP_NEAR_STREAMS) return;
    for (size_t i = 0; i < AHEAD; i++) fetch(streams, stream, packets, i, count);
}

static inline void fetch_next(const srtp_stream_table *streams, prefetch stream, const srtp_packet *packets, size_t i,
                              size_t count) {
    if (streams->count > SRTP_NEAR_STREAMS) fetch(streams, stream, packets, i + AHEAD, count);
}

static void refuse_all(srtp_packet *packets, size_t count) {
    for (size_t i = 0; i < count; i++) packets[i].status = SRTP_NO_POLICY;
}

/* Adds a packet to the chunk, or processes it. */
static void stage_or_protect(srtp_direction *direction, chunk *c, srtp_packet *packet) {
    srtp_plan *p = &c->plans[c->count];
    *p = (srtp_plan){0};
    if (!srtp_stage_protect(direction, packet, p)) return;
    int other = c->count > 0 && c->kernels != p->context->kernels;
    if (__builtin_expect(other, 0)) {
        srtp_plan own = *p;
        finish_protect(c);
        c->plans[0] = own;
    }
    add_protect(c, packet);
    if (c->count == SRTP_CHUNK) finish_protect(c);
}

void srtp_protect_batch(srtp_direction *direction, srtp_packet *packets, size_t count) {
    chunk c;
    if (direction == NULL) {
        refuse_all(packets, count);
        return;
    }
    clear(&c);
    fetch_first(&direction->streams, srtp_stream_prefetch, packets, count);
    for (size_t i = 0; i < count; i++) {
        fetch_next(&direction->streams, srtp_stream_prefetch, packets, i, count);
        stage_or_protect(direction, &c, &packets[i]);
    }
    finish_protect(&c);
}

size_t srtp_lock_many(srtp_direction *const *directions, size_t count) {
    size_t locked = 0;
    for (; locked < count && locked < SRTP_CHUNK; locked++)
        if (directions[locked] != NULL && !srtp_lock_try(&directions[locked]->lock)) break;
    return locked;
}

void srtp_release_many(srtp_direction *const *directions, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (directions[i] != NULL) srtp_lock_release(&directions[i]->lock);
}

void srtp_protect_fanout(srtp_direction *const *directions, srtp_packet *packets, size_t count) {
    chunk c;
    clear(&c);
    for (size_t i = 0; i < count; i++) {
        if (directions[i] == NULL)
            refuse_all(&packets[i], 1);
        else
            stage_or_protect(directions[i], &c, &packets[i]);
    }
    finish_protect(&c);
}

static void finish_unprotect(srtp_direction *direction, chunk *c) {
    if (c->count > 0) c->kernels->hmac_sha1_batch(c->hmac, c->count);
    for (size_t i = 0; i < c->count; i++) {
        srtp_packet *packet = c->packets[i];
        srtp_plan *p = &c->plans[i];
        int authentic = srtp_equal(c->hmac[i].tag, p->tag, p->context->parameters.rtp_tag_length);
        srtp_counted(direction, packet, p, authentic ? SRTP_OK : SRTP_AUTH_FAILED);
        if (!authentic) continue;
        srtp_commit_received_rtp(p, packet->index);
        if (packet->in != packet->out) srtp_copy_header(packet->out, packet->in, p->header.length);
        if (enciphers(p->context))
            add_ctr(c, p, packet, p->length);
        else if (packet->in != packet->out)
            memcpy(packet->out + p->header.length, packet->in + p->header.length, p->length - p->header.length);
    }
    if (c->ctr_count > 0) c->kernels->aes_ctr_batch(c->ctr, c->ctr_count);
    start(direction, c);
}

void srtp_unprotect_batch(srtp_direction *direction, srtp_packet *packets, size_t count) {
    chunk c;
    if (direction == NULL) {
        refuse_all(packets, count);
        return;
    }
    start(direction, &c);
    fetch_first(&direction->streams, srtp_stream_prefetch_staged, packets, count);
    for (size_t i = 0; i < count;) {
        srtp_plan *p = &c.plans[c.count];
        fetch_next(&direction->streams, srtp_stream_prefetch_staged, packets, i, count);
        *p = (srtp_plan){0};
        srtp_staging staged = srtp_stage_unprotect(direction, &packets[i], p, c.number);
        if (staged == SRTP_STAGED) add_packet(&c, &packets[i], packets[i].in, p->length);
        if (staged == SRTP_ALONE || staged == SRTP_LATER || c.count == SRTP_CHUNK) finish_unprotect(direction, &c);
        if (staged == SRTP_ALONE) srtp_unprotect(direction, &packets[i]);
        if (staged != SRTP_LATER) i++;
    }
    finish_unprotect(direction, &c);
}
