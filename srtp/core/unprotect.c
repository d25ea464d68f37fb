/* The order of RFC 3711 3.3, receiver's side: parse, look up without inserting, estimate the index, check for
 * replay, pick the key by its MKI, authenticate, decrypt, and only then commit. */
#include <stdlib.h>

#include "cryptex.h"
#include "header_extension.h"
#include "plan.h"
#include "rtcp_aead.h"
#include "transform.h"

/* Where MKI and tag lie: a tag of HMAC-SHA1 is last, one of AEAD comes before the MKI. */
static srtp_status split(const srtp_context *context, const srtp_packet *packet, size_t tag_length, srtp_plan *p) {
    size_t mki_length = context->parameters.mki_length;
    if (packet->length < mki_length + tag_length) return SRTP_MALFORMED;
    p->length = (uint32_t)(packet->length - mki_length - tag_length);
    const uint8_t *end = packet->in + p->length;
    p->tag = srtp_is_aead(context) ? end : end + mki_length;
    p->mki = srtp_is_aead(context) ? end + SRTP_GCM_TAG : end;
    return SRTP_OK;
}

/* Everything before the index. */
static srtp_status parse(srtp_direction *direction, const srtp_packet *packet, srtp_plan *p) {
    if (packet->length > SRTP_MAX_PACKET) return SRTP_TOO_LONG;
    if (packet->length < 12) return SRTP_MALFORMED;
    p->ssrc = srtp_load32(packet->in + 8);
    p->stream = srtp_stream_find(&direction->streams, p->ssrc);
    p->context = srtp_direction_context(direction, p->stream);
    if (p->context == NULL) return srtp_is_rtp(packet->in, packet->length) ? SRTP_NO_POLICY : SRTP_MALFORMED;
    p->sequence_number = srtp_load16(packet->in + 2);
    p->shape = srtp_rtp_tag_shape(p->context, p->sequence_number);
    srtp_status status = split(p->context, packet, p->shape.length, p);
    if (status != SRTP_OK) return status;
    if (srtp_parse_rtp_header(packet->in, p->length, &p->header) == 0) return SRTP_MALFORMED;
    if (srtp_cryptex_marked(&p->header) && p->context->parameters.cryptex == SRTP_CRYPTEX_OFF)
        return SRTP_UNEXPECTED_CRYPTEX;
    return SRTP_OK;
}

/* How many SSRCs a peer may bring is bounded, and where nothing proves that they are a peer's, more narrowly. */
static srtp_status may_come(const srtp_direction *direction, const srtp_context *context) {
    size_t most = context->parameters.most_streams;
    if (!context->authenticates && most > SRTP_MOST_STRANGERS) most = SRTP_MOST_STRANGERS;
    return direction->streams.count < most ? SRTP_OK : SRTP_TOO_MANY_STREAMS;
}

static srtp_status pick_key(const srtp_packet *packet, srtp_plan *p) {
    srtp_status status = srtp_context_receiving_key(p->context, p->mki, packet->index, &p->key);
    if (status == SRTP_OK && srtp_lifetime_over(&p->key->rtp_lifetime)) status = SRTP_KEY_EXPIRED;
    return status;
}

/* Late binding (RFC 4568 6.4.1): a stream comes to be with its first authenticated packet, and one that sleeps wakes
 * by the next. It is made before the
 * bytes are touched, so that nothing is left to fail afterwards, and thrown away if the packet is not authentic. */
static srtp_status prepare_stream(srtp_direction *direction, const srtp_plan *p, srtp_stream **fresh) {
    *fresh = NULL;
    if (p->stream != NULL && !p->stream->asleep) return SRTP_OK;
    if (p->stream == NULL && srtp_stream_reserve(&direction->streams) != 0) return SRTP_NO_MEMORY;
    *fresh = srtp_stream_new(&direction->streams.pool, p->context, p->ssrc, 0);
    return *fresh == NULL ? SRTP_NO_MEMORY : SRTP_OK;
}

static void bind_stream(srtp_direction *direction, srtp_plan *p, srtp_stream *fresh) {
    if (fresh == NULL) return;
    if (p->stream == NULL) {
        srtp_direction_doze(direction);
        srtp_stream_insert(&direction->streams, fresh);
    } else {
        srtp_stream_wake_as(fresh, p->stream);
        srtp_stream_replace(&direction->streams, p->stream, fresh);
    }
    p->stream = fresh;
}

/* A packet of a context that needs nothing but cipher, tag and MKI. */
static srtp_status open_plain(const srtp_plan *p, srtp_packet *packet) {
    const srtp_context *context = p->context;
    const srtp_session_keys *keys = p->key->rtp;
    const uint8_t *in = packet->in;
    uint8_t *out = packet->out;
    size_t header = p->header.length, payload = p->length - header;
    if (srtp_is_aead(context)) {
        uint8_t nonce[SRTP_AES_BLOCK];
        srtp_gcm_nonce(&keys->salt, p->ssrc, packet->index, nonce);
        if (!context->kernels->gcm_open(&keys->gcm, nonce, in, header, in + header, out + header, payload, p->tag))
            return SRTP_AUTH_FAILED;
    } else {
        uint8_t tag[SRTP_SHA1_DIGEST];
        srtp_rtp_hmac(context, keys, in, p->length, packet->index, tag);
        if (!srtp_equal(tag, p->tag, context->parameters.rtp_tag_length)) return SRTP_AUTH_FAILED;
        srtp_cipher_payload(context, keys, context->parameters.encrypt_rtp, in, NULL, p->ssrc, packet->index,
                            in + header, out + header, payload);
    }
    if (in != out) srtp_copy_header(out, in, header);
    return SRTP_OK;
}

static srtp_status open_aead(const srtp_plan *p, srtp_packet *packet, const srtp_session_keys *keys) {
    uint8_t nonce[SRTP_AES_BLOCK], tag[SRTP_GCM_TAG];
    uint8_t *out = packet->out;
    size_t clear = p->cryptex ? SRTP_CRYPTEX_CLEAR : p->header.length;
    if (out != packet->in) memcpy(out, packet->in, p->length);
    memcpy(tag, p->tag, sizeof tag);
    srtp_gcm_nonce(&keys->salt, p->ssrc, packet->index, nonce);
    if (p->cryptex) srtp_cryptex_gather(out, &p->header);
    int authentic = p->context->kernels->gcm_open(&keys->gcm, nonce, out, clear, out + clear, out + clear,
                                                  p->length - clear, tag);
    if (p->cryptex) srtp_cryptex_scatter(out, &p->header);
    return authentic ? SRTP_OK : SRTP_AUTH_FAILED;
}

/* HMAC-SHA1 or no authentication, and any cipher of RFC 3711. */
static srtp_status open_hmac(const srtp_plan *p, srtp_packet *packet, const srtp_session_keys *keys) {
    const srtp_context *context = p->context;
    const srtp_tag_shape *shape = &p->shape;
    uint8_t *out = packet->out;
    if (shape->mac_length > 0) {
        uint8_t tag[SRTP_SHA1_DIGEST];
        srtp_rtp_hmac(context, keys, packet->in, p->length, packet->index, tag);
        if (!srtp_equal(tag, p->tag + (shape->carries_roc ? 4 : 0), shape->mac_length)) return SRTP_AUTH_FAILED;
    }
    size_t clear = p->cryptex ? SRTP_CRYPTEX_CLEAR : p->header.length;
    if (out != packet->in) memcpy(out, packet->in, p->length);
    if (p->cryptex) srtp_cryptex_gather(out, &p->header);
    srtp_cipher_payload(context, keys, context->parameters.encrypt_rtp, out, NULL, p->ssrc, packet->index, out + clear,
                        out + clear, p->length - clear);
    if (p->cryptex) srtp_cryptex_scatter(out, &p->header);
    return SRTP_OK;
}

/* Authenticates and decrypts under p->key. */
static srtp_status open_under_key(srtp_plan *p, srtp_packet *packet) {
    const srtp_index_space *space = p->stream == NULL ? NULL : &p->stream->rtp;
    const srtp_session_keys *keys = srtp_keys_at(p->context, p->key, space, 0, packet->index, &p->fresh);
    if (keys == NULL) return SRTP_NO_MEMORY;
    srtp_status status = srtp_is_aead(p->context) ? open_aead(p, packet, keys) : open_hmac(p, packet, keys);
    if (status != SRTP_OK) {
        srtp_drop_keys(p->context, p->fresh);
        p->fresh = NULL;
        return status;
    }
    if (p->cryptex)
        srtp_cryptex_unmark(packet->out, &p->header);
    else if (p->context->parameters.shape.header_keys)
        srtp_encrypt_extension(p->context, keys, packet->out, &p->header, p->ssrc, packet->index);
    return SRTP_OK;
}

/* The key that was picked, and during an overlap the one before it. */
static srtp_status open_under_any(srtp_plan *p, srtp_packet *packet) {
    srtp_status status = open_under_key(p, packet);
    srtp_master_key *previous = p->context->previous;
    if (status != SRTP_AUTH_FAILED || previous == NULL || p->context->parameters.mki_length != 0) return status;
    if (srtp_lifetime_over(&previous->rtp_lifetime)) return status;
    p->key = previous;
    return open_under_key(p, packet);
}

/* An unauthenticated packet may move the index only where no packet of the policy is authenticated. */
static int moves_state(const srtp_plan *p) {
    return p->shape.mac_length > 0 || p->context->parameters.roc_mode != 1;
}

static srtp_status unprotect_featured(srtp_direction *direction, srtp_packet *packet, srtp_plan *p) {
    srtp_cryptex_need need = srtp_cryptex_received(p->context, &p->header);
    srtp_stream *fresh;
    if (need == SRTP_CRYPTEX_CANNOT) return SRTP_UNENCRYPTED;
    p->cryptex = need == SRTP_CRYPTEX_APPLIES;
    srtp_status status = prepare_stream(direction, p, &fresh);
    if (status == SRTP_OK) status = open_under_any(p, packet);
    if (status == SRTP_OK && moves_state(p)) {
        bind_stream(direction, p, fresh);
        srtp_commit_received_rtp(p, packet->index);
        return SRTP_OK;
    }
    srtp_drop_keys(p->context, p->fresh);
    srtp_stream_free(&direction->streams.pool, fresh);
    return status;
}

/* RFC 4771: a packet that carries its ROC is taken at its word, which authentication then proves. */
static srtp_status index_of(const srtp_plan *p, uint64_t *index) {
    if (__builtin_expect(p->shape.carries_roc, 0)) {
        const uint8_t *roc = srtp_is_aead(p->context) ? p->mki + p->context->parameters.mki_length : p->tag;
        *index = (uint64_t)srtp_load32(roc) << 16 | p->sequence_number;
        return SRTP_OK;
    }
    return srtp_estimate_index(p->stream, p->sequence_number, index);
}

static srtp_status unprotect_parsed(srtp_direction *direction, srtp_packet *packet, srtp_plan *p) {
    srtp_status status = index_of(p, &packet->index);
    if (status == SRTP_OK && p->stream != NULL && p->context->checks_replay)
        status = srtp_replay_check(&p->stream->rtp.window, packet->index);
    if (status == SRTP_OK && p->stream == NULL) status = may_come(direction, p->context);
    if (status == SRTP_OK) status = pick_key(packet, p);
    if (status == SRTP_OK && p->length > packet->capacity) {
        packet->out_length = p->length;
        status = SRTP_NO_ROOM;
    }
    if (status != SRTP_OK) return status;
    packet->out_length = p->length;
    if (!p->context->plain) return unprotect_featured(direction, packet, p);
    srtp_stream *fresh;
    if ((status = prepare_stream(direction, p, &fresh)) != SRTP_OK) return status;
    status = open_plain(p, packet);
    if (status != SRTP_OK) {
        srtp_stream_free(&direction->streams.pool, fresh);
        return status;
    }
    bind_stream(direction, p, fresh);
    srtp_commit_received_rtp(p, packet->index);
    return SRTP_OK;
}

static srtp_status open_rtcp(srtp_plan *p, srtp_packet *packet, uint32_t word) {
    const srtp_context *context = p->context;
    const srtp_index_space *space = p->stream == NULL ? NULL : &p->stream->rtcp;
    const srtp_session_keys *keys = srtp_keys_at(context, p->key, space, 1, packet->index, &p->fresh);
    if (keys == NULL) return SRTP_NO_MEMORY;
    srtp_status status = SRTP_OK;
    if (srtp_is_aead(context)) {
        status = srtp_rtcp_open(context, keys, packet->in, packet->out, p->length, p->ssrc, word);
    } else {
        uint8_t tag[SRTP_SHA1_DIGEST];
        const uint8_t *in = packet->in;
        context->kernels->hmac_sha1(&keys->authentication, in, p->length + 4, NULL, 0, tag);
        if (!srtp_equal(tag, p->tag, context->parameters.rtcp_tag_length)) {
            status = SRTP_AUTH_FAILED;
        } else {
            srtp_cipher_payload(context, keys, (int)(word >> 31), in, &word, p->ssrc, packet->index,
                                in + SRTP_RTCP_HEADER, packet->out + SRTP_RTCP_HEADER, p->length - SRTP_RTCP_HEADER);
            if (packet->out != in) memcpy(packet->out, in, SRTP_RTCP_HEADER);
        }
    }
    if (status != SRTP_OK) {
        srtp_drop_keys(context, p->fresh);
        p->fresh = NULL;
    }
    return status;
}

/* Splits [packet][tag if AEAD][E || index][MKI][tag if not] and reads the word. */
static srtp_status parse_rtcp(srtp_direction *direction, srtp_packet *packet, srtp_plan *p, uint32_t *word) {
    if (packet->length > SRTP_MAX_PACKET) return SRTP_TOO_LONG;
    if (packet->length < SRTP_RTCP_HEADER) return SRTP_MALFORMED;
    p->ssrc = srtp_load32(packet->in + 4);
    p->stream = srtp_stream_find(&direction->streams, p->ssrc);
    p->context = srtp_direction_context(direction, p->stream);
    if (p->context == NULL) return srtp_is_rtcp(packet->in, packet->length) ? SRTP_NO_POLICY : SRTP_MALFORMED;
    size_t overhead = p->context->rtcp_overhead, tag_length = p->context->parameters.rtcp_tag_length;
    if (packet->length < overhead) return SRTP_MALFORMED;
    p->length = (uint32_t)(packet->length - overhead);
    if (!srtp_is_rtcp(packet->in, p->length)) return SRTP_MALFORMED;
    const uint8_t *end = packet->in + p->length;
    if (srtp_is_aead(p->context)) {
        p->tag = end;
        end += tag_length;
    }
    *word = srtp_load32(end);
    p->mki = end + 4;
    if (!srtp_is_aead(p->context)) p->tag = p->mki + p->context->parameters.mki_length;
    packet->index = *word & SRTP_MAX_RTCP_INDEX;
    return SRTP_OK;
}

/* E=0 where the policy encrypts is refused; E=1 where it need not is welcome, unless there is no cipher. */
static srtp_status check_encryption(const srtp_context *context, uint32_t word) {
    int encrypted = (int)(word >> 31), null = context->parameters.shape.cipher == SRTP_NULL_CIPHER;
    if (null) return encrypted ? SRTP_UNENCRYPTED : SRTP_OK;
    return context->parameters.encrypt_rtcp && !encrypted ? SRTP_UNENCRYPTED : SRTP_OK;
}

static srtp_status unprotect_rtcp(srtp_direction *direction, srtp_packet *packet, srtp_plan *p) {
    uint32_t word;
    srtp_status status = parse_rtcp(direction, packet, p, &word);
    if (status == SRTP_OK && p->stream != NULL && p->context->parameters.replay_check)
        status = srtp_replay_check(&p->stream->rtcp.window, packet->index);
    if (status == SRTP_OK && p->stream == NULL) status = may_come(direction, p->context);
    if (status == SRTP_OK)
        status = srtp_context_receiving_key(p->context, p->mki, srtp_latest_index(p->stream), &p->key);
    if (status == SRTP_OK && srtp_lifetime_over(&p->key->rtcp_lifetime)) status = SRTP_KEY_EXPIRED;
    if (status == SRTP_OK && p->length > packet->capacity) {
        packet->out_length = p->length;
        status = SRTP_NO_ROOM;
    }
    srtp_stream *fresh = NULL;
    if (status == SRTP_OK) status = prepare_stream(direction, p, &fresh);
    if (status != SRTP_OK) return status;
    packet->out_length = p->length;
    status = open_rtcp(p, packet, word);
    srtp_master_key *previous = p->context->previous;
    if (status == SRTP_AUTH_FAILED && previous != NULL && p->context->parameters.mki_length == 0) {
        p->key = previous;
        status = srtp_lifetime_over(&previous->rtcp_lifetime) ? SRTP_KEY_EXPIRED : open_rtcp(p, packet, word);
    }
    if (status == SRTP_OK) status = check_encryption(p->context, word);
    if (status != SRTP_OK) {
        srtp_drop_keys(p->context, p->fresh);
        srtp_stream_free(&direction->streams.pool, fresh);
        return status;
    }
    bind_stream(direction, p, fresh);
    srtp_commit_received(p, &p->stream->rtcp, &p->key->rtcp_lifetime, packet->index);
    return SRTP_OK;
}

srtp_status srtp_unprotect(srtp_direction *direction, srtp_packet *packet) {
    if (direction == NULL) return packet->status = SRTP_NO_POLICY;
    srtp_plan p = {0};
    srtp_status status = parse(direction, packet, &p);
    if (status == SRTP_OK) status = unprotect_parsed(direction, packet, &p);
    return srtp_counted(direction, packet, &p, status);
}

srtp_status srtp_unprotect_rtcp(srtp_direction *direction, srtp_packet *packet) {
    if (direction == NULL) return packet->status = SRTP_NO_POLICY;
    srtp_plan p = {0};
    srtp_status status = unprotect_rtcp(direction, packet, &p);
    srtp_count(&direction->rtcp, status);
    if (p.stream != NULL) srtp_count(&p.stream->rtcp.counters, status);
    return packet->status = status;
}

/* The index, if it is the same whichever of the staged packets are authentic. */
static int staged_index(const srtp_plan *p, uint64_t chunk, srtp_status *status, uint64_t *index) {
    const srtp_stream *stream = p->stream;
    uint16_t sequence_number = p->sequence_number;
    *status = srtp_estimate_index(stream, sequence_number, index);
    if (stream->staged != chunk) return 1;
    uint64_t after = 0;
    srtp_status then = srtp_index_after(stream->staged_top, sequence_number, &after);
    /* The nearest index to a top grows with the top: equal at both ends is equal between them. */
    return *status == SRTP_OK && then == SRTP_OK && after == *index && after > stream->staged_top;
}

srtp_staging srtp_stage_unprotect(srtp_direction *direction, srtp_packet *packet, srtp_plan *p, uint64_t chunk) {
    srtp_status status = parse(direction, packet, p);
    if (status == SRTP_OK && srtp_is_aead(p->context)) {
        /* One at a time is as fast, and nothing of these packets' streams and keys is ever staged. */
        srtp_counted(direction, packet, p, unprotect_parsed(direction, packet, p));
        return SRTP_DONE;
    }
    if (status == SRTP_OK) {
        if (p->stream == NULL || p->stream->pinned || p->stream->asleep || !p->context->plain) return SRTP_ALONE;
        if (!staged_index(p, chunk, &status, &packet->index)) return SRTP_LATER;
    }
    if (status == SRTP_OK) status = srtp_replay_check(&p->stream->rtp.window, packet->index);
    if (status == SRTP_OK) status = srtp_context_receiving_key(p->context, p->mki, packet->index, &p->key);
    if (status == SRTP_OK && srtp_lifetime_quiet(&p->key->rtp_lifetime) <= SRTP_CHUNK) return SRTP_ALONE;
    packet->out_length = p->length;
    if (status == SRTP_OK && p->length > packet->capacity) status = SRTP_NO_ROOM;
    if (status != SRTP_OK) {
        srtp_counted(direction, packet, p, status);
        return SRTP_DONE;
    }
    srtp_stream *stream = p->stream;
    uint64_t top = stream->staged == chunk ? stream->staged_top : stream->rtp.window.started ? stream->rtp.window.top : 0;
    stream->staged = chunk;
    stream->staged_top = packet->index > top ? packet->index : top;
    packet->status = SRTP_OK;
    return SRTP_STAGED;
}
