/* The order of RFC 3711 3.3, receiver's side: parse, look up without inserting, estimate the index, check for
 * replay, compare the MKI, authenticate, decrypt, and only then commit. */
#include <stdlib.h>
#include <string.h>

#include "packet.h"
#include "packet_index.h"

/* What is known of a packet before it is authenticated. */
typedef struct {
    const srtp_session_keys *keys;
    srtp_stream *stream;        /* NULL when its SSRC is not known yet */
    uint32_t ssrc;
    uint64_t index;
    size_t clear;               /* bytes that are never encrypted */
    size_t length;              /* of the packet without index word, MKI and tag */
    size_t authenticated;       /* of the packet, as much as the tag covers */
    size_t tag_length;
    int encrypted;
} candidate;

static srtp_status verify(const srtp_direction *direction, const candidate *c, const uint8_t *in, const uint8_t *tail,
                          size_t tail_length) {
    const srtp_parameters *parameters = &direction->parameters;
    const uint8_t *mki = in + c->authenticated;
    if (!srtp_equal(mki, parameters->mki, parameters->mki_length)) return SRTP_UNKNOWN_MKI;
    uint8_t tag[SRTP_SHA1_DIGEST];
    direction->kernels->hmac_sha1(&c->keys->authentication, in, c->authenticated, tail, tail_length, tag);
    return srtp_equal(tag, mki + parameters->mki_length, c->tag_length) ? SRTP_OK : SRTP_AUTH_FAILED;
}

static void decrypt(const srtp_direction *direction, const candidate *c, const uint8_t *in, uint8_t *out) {
    if (in != out) memcpy(out, in, c->clear);
    if (c->encrypted) {
        uint8_t block[SRTP_AES_BLOCK];
        srtp_counter_block(c->keys, c->ssrc, c->index, block);
        direction->kernels->aes_ctr(&c->keys->encryption, block, in + c->clear, out + c->clear, c->length - c->clear);
    } else if (in != out) {
        memcpy(out + c->clear, in + c->clear, c->length - c->clear);
    }
}

/* Late binding (RFC 4568 6.4.1): a stream comes to be with its first authenticated packet. */
static srtp_status bind_stream(srtp_direction *direction, candidate *c) {
    if (c->stream != NULL) return SRTP_OK;
    srtp_stream *stream = srtp_stream_new(direction, c->ssrc, 0);
    if (stream == NULL) return SRTP_NO_MEMORY;
    if (srtp_stream_insert(&direction->streams, stream) != 0) {
        srtp_stream_free(stream);
        return SRTP_NO_MEMORY;
    }
    c->stream = stream;
    return SRTP_OK;
}

static srtp_status unprotect(srtp_direction *direction, candidate *c, const uint8_t *in, size_t length, uint8_t *out) {
    size_t overhead = srtp_rtp_overhead(direction);
    if (length > SRTP_MAX_PACKET) return SRTP_TOO_LONG;
    if (length < overhead) return SRTP_MALFORMED;
    c->length = length - overhead;
    c->clear = srtp_rtp_header_length(in, c->length);
    if (c->clear == 0) return SRTP_MALFORMED;
    c->ssrc = srtp_load32(in + 8);
    c->stream = srtp_stream_find(&direction->streams, c->ssrc);

    srtp_status status = srtp_estimate_index(c->stream, srtp_load16(in + 2), &c->index);
    if (status == SRTP_OK && c->stream != NULL) status = srtp_replay_check(&c->stream->rtp.window, c->index);
    if (status != SRTP_OK) return status;

    uint8_t roc[4];
    srtp_store32(roc, (uint32_t)(c->index >> 16));
    c->keys = &direction->rtp_keys;
    c->authenticated = c->length;
    c->tag_length = direction->parameters.rtp_tag_length;
    c->encrypted = direction->parameters.encrypt;
    if ((status = verify(direction, c, in, roc, 4)) != SRTP_OK) return status;
    if ((status = bind_stream(direction, c)) != SRTP_OK) return status;
    decrypt(direction, c, in, out);
    srtp_replay_commit(&c->stream->rtp.window, c->index);
    return SRTP_OK;
}

static srtp_status unprotect_rtcp(srtp_direction *direction, candidate *c, const uint8_t *in, size_t length,
                                  uint8_t *out) {
    size_t overhead = srtp_rtcp_overhead(direction);
    if (length > SRTP_MAX_PACKET) return SRTP_TOO_LONG;
    if (length < overhead) return SRTP_MALFORMED;
    c->length = length - overhead;
    c->clear = SRTP_RTCP_HEADER;
    if (!srtp_is_rtcp(in, c->length)) return SRTP_MALFORMED;
    c->ssrc = srtp_load32(in + 4);
    c->stream = srtp_stream_find(&direction->streams, c->ssrc);

    uint32_t word = srtp_load32(in + c->length);
    c->index = word & SRTP_MAX_RTCP_INDEX;
    srtp_status status = c->stream == NULL ? SRTP_OK : srtp_replay_check(&c->stream->rtcp.window, c->index);
    if (status != SRTP_OK) return status;

    c->keys = &direction->rtcp_keys;
    c->authenticated = c->length + 4;
    c->tag_length = direction->parameters.rtcp_tag_length;
    c->encrypted = word >> 31;
    if ((status = verify(direction, c, in, NULL, 0)) != SRTP_OK) return status;
    if (c->encrypted != direction->parameters.encrypt) return SRTP_UNENCRYPTED;
    if ((status = bind_stream(direction, c)) != SRTP_OK) return status;
    decrypt(direction, c, in, out);
    srtp_replay_commit(&c->stream->rtcp.window, c->index);
    return SRTP_OK;
}

static void count(srtp_counters *counters, srtp_status status) {
    switch (status) {
    case SRTP_OK: counters->processed++; break;
    case SRTP_MALFORMED:
    case SRTP_TOO_LONG: counters->malformed++; break;
    case SRTP_AUTH_FAILED: counters->authentication_failures++; break;
    case SRTP_REPLAYED: counters->replays++; break;
    case SRTP_TOO_OLD: counters->too_old++; break;
    case SRTP_UNKNOWN_MKI: counters->unknown_mki++; break;
    default: counters->refused++; break;
    }
}

srtp_status srtp_unprotect(srtp_direction *direction, const uint8_t *in, size_t length, uint8_t *out,
                           size_t *out_length, uint64_t *index) {
    if (direction == NULL) return SRTP_NO_POLICY;
    candidate c = {0};
    srtp_status status = unprotect(direction, &c, in, length, out);
    count(&direction->rtp, status);
    if (c.stream != NULL) count(&c.stream->rtp.counters, status);
    *out_length = c.length;
    *index = c.index;
    return status;
}

srtp_status srtp_unprotect_rtcp(srtp_direction *direction, const uint8_t *in, size_t length, uint8_t *out,
                                size_t *out_length, uint64_t *index) {
    if (direction == NULL) return SRTP_NO_POLICY;
    candidate c = {0};
    srtp_status status = unprotect_rtcp(direction, &c, in, length, out);
    count(&direction->rtcp, status);
    if (c.stream != NULL) count(&c.stream->rtcp.counters, status);
    *out_length = c.length;
    *index = c.index;
    return status;
}
