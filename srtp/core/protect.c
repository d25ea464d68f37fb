/* The sender's side of RFC 3711 3.3 and 3.4: everything that can fail comes first, then the bytes, then the state. */
#include <stdlib.h>

#include "cryptex.h"
#include "header_extension.h"
#include "plan.h"
#include "rtcp_aead.h"
#include "sender_marks.h"
#include "transform.h"

/* The index of the first packet of a sender whose SSRC may have been removed before. */
static srtp_status index_by_marks(const srtp_direction *direction, const srtp_plan *p, uint16_t sequence_number,
                                  uint64_t *index) {
    srtp_mark floor;
    if (!srtp_marks_floor(&direction->marks, p->ssrc, p->context, &floor))
        return srtp_estimate_index(NULL, sequence_number, index);
    if (!floor.pinned) {
        srtp_status status = srtp_index_after(floor.rtp_end - 1, sequence_number, index);
        if (status != SRTP_OK) return status;
    } else {
        *index = (uint64_t)floor.roc << 16 | sequence_number;
    }
    return *index < floor.rtp_end ? SRTP_INDEX_REUSED : SRTP_OK;
}

/* Finds out the context, the index and the key. A packet that was sent before is `repeat`, if that is allowed. */
static srtp_status plan(srtp_direction *direction, srtp_packet *packet, srtp_plan *p) {
    if (srtp_parse_rtp_header(packet->in, packet->length, &p->header) == 0) return SRTP_MALFORMED;
    p->ssrc = srtp_load32(packet->in + 8);
    p->stream = srtp_stream_find(&direction->streams, p->ssrc);
    p->context = srtp_direction_context(direction, p->stream);
    if (p->context == NULL) return SRTP_NO_POLICY;
    if (srtp_cryptex_marked(&p->header)) return SRTP_UNEXPECTED_CRYPTEX;

    srtp_status status = SRTP_OK;
    if (__builtin_expect(p->stream == NULL && direction->marks.count > 0, 0))
        status = index_by_marks(direction, p, srtp_load16(packet->in + 2), &packet->index);
    else
        status = srtp_estimate_index(p->stream, srtp_load16(packet->in + 2), &packet->index);
    if (status == SRTP_OK && p->stream != NULL) status = srtp_replay_check(&p->stream->rtp.window, packet->index);
    if (status != SRTP_OK) {
        p->repeat = status == SRTP_REPLAYED && p->stream->fingerprints != NULL;
        /* A sender that falls behind its window cannot prove that the index is unused. */
        if (!p->repeat) return status == SRTP_INDEX_EXHAUSTED ? status : SRTP_INDEX_REUSED;
    }
    p->key = srtp_context_sending_key(p->context, packet->index);
    if (p->key == NULL || (srtp_lifetime_over(&p->key->rtp_lifetime) && !p->repeat)) return SRTP_KEY_EXPIRED;
    return SRTP_OK;
}

static srtp_status room(srtp_packet *packet, size_t overhead) {
    if (packet->length + overhead > SRTP_MAX_PACKET) return SRTP_TOO_LONG;
    if (packet->length + overhead <= packet->capacity) return SRTP_OK;
    packet->out_length = packet->length + overhead;
    return SRTP_NO_ROOM;
}

/* A sender's stream comes to be at its first packet: what we send needs no authentication. */
static srtp_status bind_stream(srtp_direction *direction, srtp_plan *p) {
    if (p->stream == NULL) p->stream = srtp_sender_new(direction, p->context, p->ssrc);
    return p->stream != NULL ? SRTP_OK : SRTP_NO_MEMORY;
}

static void commit(srtp_plan *p, srtp_index_space *space, srtp_lifetime *lifetime, uint64_t index) {
    srtp_replay_commit(&space->window, index);
    srtp_lifetime_count(lifetime);
    if (__builtin_expect(p->fresh != NULL, 0)) srtp_keep_keys(p->context, p->key, space, index, p->fresh);
}

static void commit_rtp(srtp_plan *p, uint64_t index) {
    commit(p, &p->stream->rtp, &p->key->rtp_lifetime, index);
    p->stream->pinned = 0;
}

/* A packet of a context that needs nothing but cipher, tag and MKI. */
static void protect_plain(const srtp_plan *p, srtp_packet *packet) {
    const srtp_context *context = p->context;
    const srtp_session_keys *keys = p->key->rtp;
    const uint8_t *payload = packet->in + p->header.length;
    uint8_t *out = packet->out, *end = out + packet->length;
    size_t payload_length = packet->length - p->header.length;
    if (packet->in != out) srtp_copy_header(out, packet->in, p->header.length);
    if (srtp_is_aead(context)) {
        uint8_t nonce[SRTP_AES_BLOCK];
        srtp_gcm_nonce(&keys->salt, p->ssrc, packet->index, nonce);
        context->kernels->gcm_seal(&keys->gcm, nonce, out, p->header.length, payload,
                                    out + p->header.length, payload_length, end);
        end = srtp_append_mki(context, p->key, end + SRTP_GCM_TAG);
    } else {
        uint8_t tag[SRTP_SHA1_DIGEST];
        srtp_cipher_payload(context, keys, context->parameters.encrypt_rtp, out, NULL, p->ssrc, packet->index, payload,
                            out + p->header.length, payload_length);
        srtp_rtp_hmac(context, keys, out, packet->length, packet->index, tag);
        end = srtp_append_mki(context, p->key, end);
        srtp_copy_tag(end, tag, context->parameters.rtp_tag_length);
        end += context->parameters.rtp_tag_length;
    }
    packet->out_length = (size_t)(end - out);
}

/* The ROC of RFC 4771, where the packet carries it; returns what follows. */
static uint8_t *append_roc(const srtp_plan *p, const srtp_packet *packet, uint8_t *out) {
    if (!p->shape.carries_roc) return out;
    srtp_store32(out, (uint32_t)(packet->index >> 16));
    return out + 4;
}

/* Any packet, from `in` to a buffer with room. Leaves the start of its tag in `fingerprint`; returns its length. */
static size_t protect_any(const srtp_plan *p, const srtp_packet *packet, const srtp_session_keys *keys, uint8_t *out,
                          uint8_t fingerprint[SRTP_FINGERPRINT]) {
    const srtp_context *context = p->context;
    size_t length = packet->length, clear = p->header.length;
    uint8_t tag[SRTP_SHA1_DIGEST];
    if (out != packet->in) memcpy(out, packet->in, length);
    if (p->cryptex) {
        length = srtp_cryptex_mark(out, &p->header, length);
        srtp_cryptex_gather(out, &p->header);
        clear = SRTP_CRYPTEX_CLEAR;
    } else if (context->parameters.shape.header_keys) {
        srtp_encrypt_extension(context, keys, out, &p->header, p->ssrc, packet->index);
    }
    uint8_t *end = out + length;
    if (srtp_is_aead(context)) {
        uint8_t nonce[SRTP_AES_BLOCK];
        srtp_gcm_nonce(&keys->salt, p->ssrc, packet->index, nonce);
        context->kernels->gcm_seal(&keys->gcm, nonce, out, clear, out + clear, out + clear, length - clear, end);
        if (p->cryptex) srtp_cryptex_scatter(out, &p->header);
        memcpy(fingerprint, end, SRTP_FINGERPRINT);
        end = srtp_append_mki(context, p->key, end + SRTP_GCM_TAG);
        return (size_t)(append_roc(p, packet, end) - out);
    }
    srtp_cipher_payload(context, keys, context->parameters.encrypt_rtp, out, NULL, p->ssrc, packet->index, out + clear,
                        out + clear, length - clear);
    if (p->cryptex) srtp_cryptex_scatter(out, &p->header);
    if (p->shape.mac_length > 0) {
        srtp_rtp_hmac(context, keys, out, length, packet->index, tag);
        memcpy(fingerprint, tag, SRTP_FINGERPRINT);
    }
    end = append_roc(p, packet, srtp_append_mki(context, p->key, end));
    memcpy(end, tag, p->shape.mac_length);
    return (size_t)(end - out) + p->shape.mac_length;
}

/* The same packet once more: made apart, and handed out only if it is, byte for byte, what was sent before. */
static srtp_status protect_again(const srtp_plan *p, srtp_packet *packet, const srtp_session_keys *keys) {
    uint8_t fingerprint[SRTP_FINGERPRINT];
    uint8_t *apart = malloc(packet->length + p->context->rtp_overhead);
    if (apart == NULL) return SRTP_NO_MEMORY;
    size_t length = protect_any(p, packet, keys, apart, fingerprint);
    int same = srtp_equal(fingerprint, srtp_stream_fingerprint(p->stream, packet->index), SRTP_FINGERPRINT);
    if (same) {
        memcpy(packet->out, apart, length);
        packet->out_length = length;
    }
    srtp_wipe(apart, length);
    free(apart);
    return same ? SRTP_OK : SRTP_INDEX_REUSED;
}

/* A context with anything out of the ordinary. */
static srtp_status protect_featured(srtp_direction *direction, srtp_packet *packet, srtp_plan *p) {
    const srtp_parameters *parameters = &p->context->parameters;
    srtp_cryptex_need need = srtp_cryptex_sending(p->context, &p->header);
    if (need == SRTP_CRYPTEX_CANNOT) return SRTP_UNENCRYPTED;
    p->cryptex = need == SRTP_CRYPTEX_APPLIES;
    if (parameters->shape.header_keys && !p->cryptex && !srtp_extension_is_sound(packet->in, &p->header))
        return SRTP_UNENCRYPTED;
    p->shape = srtp_rtp_tag_shape(p->context, (uint16_t)packet->index);
    size_t overhead = parameters->mki_length + p->shape.length;
    if (p->cryptex) overhead += srtp_cryptex_growth(&p->header);
    srtp_status status = room(packet, overhead);
    if (status != SRTP_OK) return status;
    srtp_index_space *space = p->stream == NULL ? NULL : &p->stream->rtp;
    const srtp_session_keys *keys = srtp_keys_at(p->context, p->key, space, 0, packet->index, &p->fresh);
    if (keys == NULL) return SRTP_NO_MEMORY;
    status = p->repeat ? protect_again(p, packet, keys) : bind_stream(direction, p);
    if (status != SRTP_OK || p->repeat) {
        srtp_drop_keys(p->context, p->fresh);
        return status;
    }
    uint8_t fingerprint[SRTP_FINGERPRINT];
    packet->out_length = protect_any(p, packet, keys, packet->out, fingerprint);
    if (p->stream->fingerprints != NULL)
        memcpy(srtp_stream_fingerprint(p->stream, packet->index), fingerprint, SRTP_FINGERPRINT);
    commit_rtp(p, packet->index);
    return SRTP_OK;
}

static srtp_status protect_planned(srtp_direction *direction, srtp_packet *packet, srtp_plan *p) {
    srtp_status status;
    if (!p->context->plain) return protect_featured(direction, packet, p);
    status = room(packet, p->context->rtp_overhead);
    if (status == SRTP_OK) status = bind_stream(direction, p);
    if (status != SRTP_OK) return status;
    protect_plain(p, packet);
    commit_rtp(p, packet->index);
    return SRTP_OK;
}

/* [packet, tag inside when AEAD][E || index][MKI][tag] (RFC 3711 3.4, RFC 7714 9). */
static size_t protect_rtcp_bytes(const srtp_plan *p, const srtp_packet *packet, const srtp_session_keys *keys) {
    const srtp_context *context = p->context;
    int encrypt = context->parameters.encrypt_rtcp && context->parameters.shape.cipher != SRTP_NULL_CIPHER;
    uint32_t word = (uint32_t)packet->index | (encrypt ? 0x80000000u : 0);
    uint8_t *out = packet->out, *end = out + packet->length;
    size_t clear = SRTP_RTCP_HEADER;
    if (packet->in != out) memcpy(out, packet->in, packet->length);
    if (srtp_is_aead(context)) {
        srtp_rtcp_seal(context, keys, out, packet->length, p->ssrc, word);
        srtp_store32(end + SRTP_GCM_TAG, word);
        return (size_t)(srtp_append_mki(context, p->key, end + SRTP_GCM_TAG + 4) - out);
    }
    uint8_t tag[SRTP_SHA1_DIGEST];
    srtp_cipher_payload(context, keys, encrypt, out, &word, p->ssrc, packet->index, out + clear, out + clear,
                        packet->length - clear);
    srtp_store32(end, word);
    context->kernels->hmac_sha1(&keys->authentication, out, packet->length + 4, NULL, 0, tag);
    end = srtp_append_mki(context, p->key, end + 4);
    memcpy(end, tag, context->parameters.rtcp_tag_length);
    return (size_t)(end - out) + context->parameters.rtcp_tag_length;
}

/* The next SRTCP index of a sender, and its latest SRTP index, by which its key is chosen. */
static uint64_t next_rtcp_index(const srtp_direction *direction, const srtp_plan *p, uint64_t *latest) {
    srtp_mark floor;
    *latest = srtp_latest_index(p->stream);
    if (p->stream != NULL) return p->stream->rtcp.window.started ? p->stream->rtcp.window.top + 1 : 0;
    if (!srtp_marks_floor(&direction->marks, p->ssrc, p->context, &floor)) return 0;
    *latest = floor.rtp_end > 0 ? floor.rtp_end - 1 : (uint64_t)floor.roc << 16;
    return floor.rtcp_end;
}

static srtp_status protect_rtcp(srtp_direction *direction, srtp_packet *packet, srtp_plan *p) {
    if (!srtp_is_rtcp(packet->in, packet->length)) return SRTP_MALFORMED;
    p->ssrc = srtp_load32(packet->in + 4);
    p->stream = srtp_stream_find(&direction->streams, p->ssrc);
    p->context = srtp_direction_context(direction, p->stream);
    if (p->context == NULL) return SRTP_NO_POLICY;
    uint64_t latest;
    packet->index = next_rtcp_index(direction, p, &latest);
    if (packet->index > SRTP_MAX_RTCP_INDEX) return SRTP_INDEX_EXHAUSTED;
    p->key = srtp_context_sending_key(p->context, latest);
    if (p->key == NULL || srtp_lifetime_over(&p->key->rtcp_lifetime)) return SRTP_KEY_EXPIRED;
    srtp_status status = room(packet, p->context->rtcp_overhead);
    if (status != SRTP_OK) return status;
    srtp_index_space *space = p->stream == NULL ? NULL : &p->stream->rtcp;
    const srtp_session_keys *keys = srtp_keys_at(p->context, p->key, space, 1, packet->index, &p->fresh);
    if (keys == NULL) return SRTP_NO_MEMORY;
    if ((status = bind_stream(direction, p)) != SRTP_OK) {
        srtp_drop_keys(p->context, p->fresh);
        return status;
    }
    packet->out_length = protect_rtcp_bytes(p, packet, keys);
    commit(p, &p->stream->rtcp, &p->key->rtcp_lifetime, packet->index);
    return SRTP_OK;
}

static srtp_status counted(srtp_direction *direction, srtp_packet *packet, const srtp_plan *p, srtp_status status) {
    srtp_count(&direction->rtp, status);
    if (p->stream != NULL) srtp_count(&p->stream->rtp.counters, status);
    return packet->status = status;
}

srtp_status srtp_protect(srtp_direction *direction, srtp_packet *packet) {
    if (direction == NULL) return packet->status = SRTP_NO_POLICY;
    srtp_plan p = {0};
    srtp_status status = plan(direction, packet, &p);
    if (status == SRTP_OK) status = protect_planned(direction, packet, &p);
    return counted(direction, packet, &p, status);
}

srtp_status srtp_protect_rtcp(srtp_direction *direction, srtp_packet *packet) {
    if (direction == NULL) return packet->status = SRTP_NO_POLICY;
    srtp_plan p = {0};
    srtp_status status = protect_rtcp(direction, packet, &p);
    srtp_count(&direction->rtcp, status);
    if (p.stream != NULL) srtp_count(&p.stream->rtcp.counters, status);
    return packet->status = status;
}

/* Whether the kernels gain by having the packet with others. */
static int is_staged(const srtp_plan *p) {
    return p->context->plain && !srtp_is_aead(p->context) && p->stream != NULL;
}

int srtp_stage_protect(srtp_direction *direction, srtp_packet *packet, srtp_plan *p) {
    srtp_status status = plan(direction, packet, p);
    int staged = status == SRTP_OK && is_staged(p);
    if (staged)
        status = room(packet, p->context->rtp_overhead);
    else if (status == SRTP_OK)
        status = protect_planned(direction, packet, p);
    if (staged && status == SRTP_OK) commit_rtp(p, packet->index);
    return counted(direction, packet, p, status) == SRTP_OK && staged;
}
