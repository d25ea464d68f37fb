#include <stdlib.h>
#include <string.h>

#include "packet.h"
#include "packet_index.h"

/* The sender's stream, made at its first packet: what we send needs no authentication. *fresh says that it is
 * not in the table yet. */
static srtp_stream *sending_stream(srtp_direction *direction, uint32_t ssrc, int *fresh) {
    srtp_stream *stream = srtp_stream_find(&direction->streams, ssrc);
    *fresh = stream == NULL;
    return *fresh ? srtp_stream_new(direction, ssrc, direction->parameters.allow_repeat_tx) : stream;
}

static uint8_t *fingerprint_of(const srtp_stream *stream, uint64_t index) {
    return stream->rtp.fingerprints + (index & (stream->rtp.window.capacity - 1)) * SRTP_FINGERPRINT;
}

/* Writes the protected packet and leaves its whole HMAC in `tag`. */
static void transform(const srtp_direction *direction, const srtp_session_keys *keys, const uint8_t *in, size_t length,
                      uint8_t *out, size_t clear, uint32_t ssrc, uint64_t index, const uint8_t *tail,
                      size_t tail_length, size_t trailer, uint8_t tag[SRTP_SHA1_DIGEST]) {
    const srtp_kernels *k = direction->kernels;
    if (in != out) memcpy(out, in, clear);
    if (direction->parameters.encrypt) {
        uint8_t block[SRTP_AES_BLOCK];
        srtp_counter_block(keys, ssrc, index, block);
        k->aes_ctr(&keys->encryption, block, in + clear, out + clear, length - clear);
    } else if (in != out) {
        memcpy(out + clear, in + clear, length - clear);
    }
    if (trailer) srtp_store32(out + length, (uint32_t)index | (direction->parameters.encrypt ? 0x80000000u : 0));
    k->hmac_sha1(&keys->authentication, out, length + trailer, tail, tail_length, tag);
}

/* Appends MKI and tag at out + length and returns the packet's new length. */
static size_t append(const srtp_direction *direction, uint8_t *out, size_t length, const uint8_t *tag, size_t tag_length) {
    size_t mki_length = direction->parameters.mki_length;
    memcpy(out + length, direction->parameters.mki, mki_length);
    memcpy(out + length + mki_length, tag, tag_length);
    return length + mki_length + tag_length;
}

/* Takes back what transform() did to the payload. Counter mode is its own inverse. */
static void undo(const srtp_direction *direction, const uint8_t *in, size_t length, uint8_t *out, size_t header,
                 uint32_t ssrc, uint64_t index) {
    if (in != out) {
        srtp_wipe(out, length);
    } else if (direction->parameters.encrypt) {
        uint8_t block[SRTP_AES_BLOCK];
        srtp_counter_block(&direction->rtp_keys, ssrc, index, block);
        direction->kernels->aes_ctr(&direction->rtp_keys.encryption, block, out + header, out + header, length - header);
    }
}

static srtp_status protect(srtp_direction *direction, const uint8_t *in, size_t length, uint8_t *out,
                           size_t *out_length, uint64_t *index) {
    const srtp_parameters *parameters = &direction->parameters;
    size_t header = srtp_rtp_header_length(in, length);
    if (header == 0) return SRTP_MALFORMED;
    if (length + srtp_rtp_overhead(direction) > SRTP_MAX_PACKET) return SRTP_TOO_LONG;
    uint32_t ssrc = srtp_load32(in + 8);
    int fresh;
    srtp_stream *stream = sending_stream(direction, ssrc, &fresh);
    if (stream == NULL) return SRTP_NO_MEMORY;

    srtp_status status = srtp_estimate_index(stream, srtp_load16(in + 2), index);
    if (status == SRTP_OK) status = srtp_replay_check(&stream->rtp.window, *index);
    int repeat = status == SRTP_REPLAYED && stream->rtp.fingerprints != NULL;
    if (status != SRTP_OK && !repeat) {
        /* A sender that falls behind its window cannot prove that the index is unused. */
        return status == SRTP_INDEX_EXHAUSTED ? status : SRTP_INDEX_REUSED;
    }
    if (fresh && srtp_stream_insert(&direction->streams, stream) != 0) {
        srtp_stream_free(stream);
        return SRTP_NO_MEMORY;
    }

    uint8_t roc[4], tag[SRTP_SHA1_DIGEST];
    srtp_store32(roc, (uint32_t)(*index >> 16));
    transform(direction, &direction->rtp_keys, in, length, out, header, ssrc, *index, roc, 4, 0, tag);
    if (repeat && !srtp_equal(tag, fingerprint_of(stream, *index), SRTP_FINGERPRINT)) {
        undo(direction, in, length, out, header, ssrc, *index);
        return SRTP_INDEX_REUSED;
    }
    if (!repeat) {
        srtp_replay_commit(&stream->rtp.window, *index);
        if (stream->rtp.fingerprints != NULL) memcpy(fingerprint_of(stream, *index), tag, SRTP_FINGERPRINT);
    }
    *out_length = append(direction, out, length, tag, parameters->rtp_tag_length);
    stream->rtp.counters.processed++;
    return SRTP_OK;
}

static srtp_status protect_rtcp(srtp_direction *direction, const uint8_t *in, size_t length, uint8_t *out,
                                size_t *out_length, uint64_t *index) {
    if (!srtp_is_rtcp(in, length)) return SRTP_MALFORMED;
    if (length + srtp_rtcp_overhead(direction) > SRTP_MAX_PACKET) return SRTP_TOO_LONG;
    uint32_t ssrc = srtp_load32(in + 4);
    int fresh;
    srtp_stream *stream = sending_stream(direction, ssrc, &fresh);
    if (stream == NULL) return SRTP_NO_MEMORY;
    *index = stream->rtcp.window.started ? stream->rtcp.window.top + 1 : 0;
    if (*index > SRTP_MAX_RTCP_INDEX) return SRTP_INDEX_EXHAUSTED;
    if (fresh && srtp_stream_insert(&direction->streams, stream) != 0) {
        srtp_stream_free(stream);
        return SRTP_NO_MEMORY;
    }
    uint8_t tag[SRTP_SHA1_DIGEST];
    transform(direction, &direction->rtcp_keys, in, length, out, SRTP_RTCP_HEADER, ssrc, *index, NULL, 0, 4, tag);
    srtp_replay_commit(&stream->rtcp.window, *index);
    *out_length = append(direction, out, length + 4, tag, direction->parameters.rtcp_tag_length);
    stream->rtcp.counters.processed++;
    return SRTP_OK;
}

static srtp_status count(srtp_counters *counters, srtp_status status) {
    if (status == SRTP_OK)
        counters->processed++;
    else if (status == SRTP_MALFORMED || status == SRTP_TOO_LONG)
        counters->malformed++;
    else
        counters->refused++;
    return status;
}

srtp_status srtp_protect(srtp_direction *direction, const uint8_t *in, size_t length, uint8_t *out,
                         size_t *out_length, uint64_t *index) {
    if (direction == NULL) return SRTP_NO_POLICY;
    return count(&direction->rtp, protect(direction, in, length, out, out_length, index));
}

srtp_status srtp_protect_rtcp(srtp_direction *direction, const uint8_t *in, size_t length, uint8_t *out,
                              size_t *out_length, uint64_t *index) {
    if (direction == NULL) return SRTP_NO_POLICY;
    return count(&direction->rtcp, protect_rtcp(direction, in, length, out, out_length, index));
}
