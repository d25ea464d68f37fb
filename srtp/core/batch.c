/* Many packets at once: their plans are made in order, one after another; ciphers and tags are then computed by the
 * kernels for many packets; and the state moves in order again. A packet that is out of the ordinary, or whose fate
 * hangs on one before it, is processed alone after all before it are done. So what comes out is what one call a
 * packet would give. */
#include "plan.h"
#include "transform.h"

typedef struct {
    const srtp_kernels *kernels;
    uint64_t number;            /* of srtp_direction.chunks */
    size_t count;
    size_t ctr_count;
    size_t hmac_count;
    size_t gcm_count;
    srtp_packet *packets[SRTP_CHUNK];
    srtp_plan plans[SRTP_CHUNK];
    uint8_t hmac_owner[SRTP_CHUNK]; /* whose packet the job is */
    uint8_t gcm_owner[SRTP_CHUNK];
    uint8_t roc[SRTP_CHUNK][4];
    srtp_aes_ctr_job ctr[SRTP_CHUNK];
    srtp_hmac_sha1_job hmac[SRTP_CHUNK];
    srtp_gcm_job gcm[SRTP_CHUNK];
} chunk;

static void clear(chunk *c) { c->count = c->ctr_count = c->hmac_count = c->gcm_count = 0; }

static void start(srtp_direction *direction, chunk *c) {
    c->number = ++direction->chunks;
    clear(c);
}

static void add_ctr(chunk *c, const srtp_plan *p, const srtp_packet *packet, size_t length) {
    srtp_aes_ctr_job *job = &c->ctr[c->ctr_count++];
    job->key = &p->key->rtp->aes;
    job->in = packet->in + p->header;
    job->out = packet->out + p->header;
    job->length = length - p->header;
    srtp_counter_block(&p->key->rtp->salt, p->ssrc, packet->index, job->iv);
}

static void add_hmac(chunk *c, const srtp_plan *p, const srtp_packet *packet, const uint8_t *data, size_t length) {
    c->hmac_owner[c->hmac_count] = (uint8_t)c->count;
    uint8_t *roc = c->roc[c->hmac_count];
    srtp_hmac_sha1_job *job = &c->hmac[c->hmac_count++];
    srtp_store32(roc, (uint32_t)(packet->index >> 16));
    job->key = &p->key->rtp->authentication;
    job->data = data;
    job->length = length;
    job->tail = roc;
    job->tail_length = 4;
}

static srtp_gcm_job *add_gcm(chunk *c, const srtp_plan *p, const srtp_packet *packet, const uint8_t *header,
                             size_t length) {
    uint8_t nonce[SRTP_AES_BLOCK];
    c->gcm_owner[c->gcm_count] = (uint8_t)c->count;
    srtp_gcm_job *job = &c->gcm[c->gcm_count++];
    job->key = &p->key->rtp->gcm;
    job->aad = header;
    job->aad_length = p->header;
    job->in = packet->in + p->header;
    job->out = packet->out + p->header;
    job->length = length - p->header;
    srtp_gcm_nonce(&p->key->rtp->salt, p->ssrc, packet->index, nonce);
    memcpy(job->nonce, nonce, sizeof job->nonce);
    return job;
}

static int enciphers(const srtp_context *context) {
    return context->parameters.encrypt_rtp && context->parameters.shape.cipher != SRTP_NULL_CIPHER;
}

static void add_protect(chunk *c, srtp_packet *packet) {
    const srtp_plan *p = &c->plans[c->count];
    const srtp_context *context = p->context;
    uint8_t *out = packet->out, *end = out + packet->length;
    if (packet->in != out) srtp_copy_header(out, packet->in, p->header);
    if (srtp_is_aead(context)) {
        add_gcm(c, p, packet, out, packet->length);
        end = srtp_append_mki(context, p->key, end + SRTP_GCM_TAG);
    } else {
        if (enciphers(context))
            add_ctr(c, p, packet, packet->length);
        else if (packet->in != out)
            memcpy(out + p->header, packet->in + p->header, packet->length - p->header);
        add_hmac(c, p, packet, out, packet->length);
        end = srtp_append_mki(context, p->key, end) + context->parameters.rtp_tag_length;
    }
    packet->out_length = (size_t)(end - out);
    c->kernels = context->kernels;
    c->packets[c->count++] = packet;
}

static void finish_protect(chunk *c) {
    if (c->ctr_count > 0) c->kernels->aes_ctr_batch(c->ctr, c->ctr_count);
    if (c->hmac_count > 0) c->kernels->hmac_sha1_batch(c->hmac, c->hmac_count);
    if (c->gcm_count > 0) c->kernels->gcm_seal_batch(c->gcm, c->gcm_count);
    for (size_t i = 0; i < c->hmac_count; i++) {
        srtp_packet *packet = c->packets[c->hmac_owner[i]];
        size_t tag_length = c->plans[c->hmac_owner[i]].context->parameters.rtp_tag_length;
        memcpy(packet->out + packet->out_length - tag_length, c->hmac[i].tag, tag_length);
    }
    for (size_t i = 0; i < c->gcm_count; i++) {
        srtp_packet *packet = c->packets[c->gcm_owner[i]];
        memcpy(packet->out + packet->length, c->gcm[i].tag, SRTP_GCM_TAG);
    }
}

static void refuse_all(srtp_packet *packets, size_t count) {
    for (size_t i = 0; i < count; i++) packets[i].status = SRTP_NO_POLICY;
}

/* Adds a packet to the chunk. 0: the chunk was full or the packet out of the ordinary, and everything is done. */
static int stage_or_protect(srtp_direction *direction, chunk *c, srtp_packet *packet) {
    srtp_plan *p = &c->plans[c->count];
    *p = (srtp_plan){0};
    int staged = srtp_stage_protect(direction, packet, p);
    if (staged && packet->status == SRTP_OK) {
        if (c->count > 0 && c->kernels != p->context->kernels) {
            srtp_plan own = *p;
            finish_protect(c);
            clear(c);
            c->plans[0] = own;
        }
        add_protect(c, packet);
    }
    if (staged && c->count < SRTP_CHUNK) return 1;
    finish_protect(c);
    clear(c);
    if (!staged) srtp_protect(direction, packet);
    return 0;
}

void srtp_protect_batch(srtp_direction *direction, srtp_packet *packets, size_t count) {
    chunk c;
    if (direction == NULL) {
        refuse_all(packets, count);
        return;
    }
    clear(&c);
    for (size_t i = 0; i < count; i++) stage_or_protect(direction, &c, &packets[i]);
    finish_protect(&c);
}

static void release_all(srtp_direction **held, size_t *count) {
    while (*count > 0) srtp_lock_release(&held[--*count]->lock);
}

void srtp_protect_fanout(srtp_direction *const *directions, srtp_packet *packets, size_t count) {
    chunk c;
    srtp_direction *held[SRTP_CHUNK + 1];
    size_t held_count = 0;
    clear(&c);
    for (size_t i = 0; i < count; i++) {
        srtp_direction *direction = directions[i];
        if (direction == NULL) {
            refuse_all(&packets[i], 1);
            continue;
        }
        int free_now = held_count < SRTP_CHUNK && srtp_lock_try(&direction->lock);
        if (!free_now) {
            /* Nobody waits for a lock while holding another: it may be one of these, or its holder wait for these. */
            finish_protect(&c);
            clear(&c);
            release_all(held, &held_count);
            srtp_lock_acquire(&direction->lock);
        }
        held[held_count++] = direction;
        if (!stage_or_protect(direction, &c, &packets[i])) release_all(held, &held_count);
    }
    finish_protect(&c);
    release_all(held, &held_count);
}

static void add_unprotect(chunk *c, srtp_packet *packet) {
    const srtp_plan *p = &c->plans[c->count];
    if (srtp_is_aead(p->context)) {
        srtp_gcm_job *job = add_gcm(c, p, packet, packet->in, p->length);
        memcpy(job->tag, p->tag, SRTP_GCM_TAG);
    } else {
        add_hmac(c, p, packet, packet->in, p->length);
    }
    c->kernels = p->context->kernels;
    c->packets[c->count++] = packet;
}

/* One packet whose tag has been looked at. */
static void finish_packet(srtp_direction *direction, chunk *c, size_t i, int authentic) {
    srtp_packet *packet = c->packets[i];
    srtp_plan *p = &c->plans[i];
    srtp_finish_unprotect(direction, packet, p, authentic);
    if (authentic && packet->in != packet->out) srtp_copy_header(packet->out, packet->in, p->header);
}

static void finish_unprotect(srtp_direction *direction, chunk *c) {
    if (c->hmac_count > 0) c->kernels->hmac_sha1_batch(c->hmac, c->hmac_count);
    if (c->gcm_count > 0) c->kernels->gcm_open_batch(c->gcm, c->gcm_count);
    for (size_t i = 0; i < c->hmac_count; i++) {
        size_t owner = c->hmac_owner[i];
        srtp_packet *packet = c->packets[owner];
        const srtp_plan *p = &c->plans[owner];
        int authentic = srtp_equal(c->hmac[i].tag, p->tag, p->context->parameters.rtp_tag_length);
        finish_packet(direction, c, owner, authentic);
        if (!authentic) continue;
        if (enciphers(p->context))
            add_ctr(c, p, packet, p->length);
        else if (packet->in != packet->out)
            memcpy(packet->out + p->header, packet->in + p->header, p->length - p->header);
    }
    for (size_t i = 0; i < c->gcm_count; i++) finish_packet(direction, c, c->gcm_owner[i], c->gcm[i].authentic);
    if (c->ctr_count > 0) c->kernels->aes_ctr_batch(c->ctr, c->ctr_count);
}

void srtp_unprotect_batch(srtp_direction *direction, srtp_packet *packets, size_t count) {
    chunk c;
    if (direction == NULL) {
        refuse_all(packets, count);
        return;
    }
    start(direction, &c);
    for (size_t i = 0; i < count;) {
        srtp_plan *p = &c.plans[c.count];
        *p = (srtp_plan){0};
        int staged = srtp_stage_unprotect(direction, &packets[i], p, c.number);
        if (staged > 0 && packets[i].status == SRTP_OK) add_unprotect(&c, &packets[i]);
        if (staged <= 0 || c.count == SRTP_CHUNK) {
            finish_unprotect(direction, &c);
            start(direction, &c);
        }
        if (staged == 0) srtp_unprotect(direction, &packets[i]);
        if (staged >= 0) i++;
    }
    finish_unprotect(direction, &c);
}
