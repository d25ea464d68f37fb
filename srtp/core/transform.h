/* The transforms on one packet's bytes: ciphers, tags and nonces, without any state. */
#ifndef SRTP_TRANSFORM_H
#define SRTP_TRANSFORM_H

#include <string.h>

#include "direction.h"
#include "f8.h"
#include "packet.h"
#include "packet_index.h"

static inline int srtp_is_aead(const srtp_context *context) {
    return context->parameters.shape.cipher == SRTP_AES_GCM;
}

/* The cipher of RFC 3711 on a payload (encrypting and decrypting are one); `header` is the fixed header of the RTP
 * packet, or that of the RTCP packet with `rtcp_word` then being E || index. AEAD is not done here. */
static inline void srtp_cipher_payload(const srtp_context *context, const srtp_session_keys *keys, int encrypt,
                                       const uint8_t *header, const uint32_t *rtcp_word, uint32_t ssrc, uint64_t index,
                                       const uint8_t *in, uint8_t *out, size_t length) {
    uint8_t iv[SRTP_AES_BLOCK];
    srtp_f8 f8;
    if (!encrypt || context->parameters.shape.cipher == SRTP_NULL_CIPHER) {
        if (in != out) memcpy(out, in, length);
    } else if (__builtin_expect(context->parameters.shape.cipher == SRTP_AES_F8, 0)) {
        if (rtcp_word != NULL)
            srtp_f8_rtcp_iv(iv, header, *rtcp_word);
        else
            srtp_f8_iv(iv, header, ssrc, index);
        srtp_f8_start(&f8, context->kernels, &keys->aes, &keys->further->masked, iv);
        srtp_f8_xor(&f8, in, out, length);
        srtp_f8_end(&f8);
    } else {
        srtp_counter_block(&keys->salt, ssrc, index, iv);
        context->kernels->aes_ctr(&keys->aes, iv, in, out, length);
    }
}

/* HMAC-SHA1 over an authenticated portion, and for RTP its ROC. */
static inline void srtp_rtp_hmac(const srtp_context *context, const srtp_session_keys *keys, const uint8_t *data,
                                 size_t length, uint64_t index, uint8_t tag[SRTP_SHA1_DIGEST]) {
    uint8_t roc[4];
    srtp_store32(roc, (uint32_t)(index >> 16));
    context->kernels->hmac_sha1(&keys->authentication, data, length, roc, sizeof roc, tag);
}

/* Tags of 10 bytes, which nearly all have, without a call. */
static inline void srtp_copy_tag(uint8_t *out, const uint8_t *tag, size_t length) {
    if (__builtin_expect(length == 10, 1))
        memcpy(out, tag, 10);
    else
        memcpy(out, tag, length);
}

/* Appends an MKI at `out` and returns what follows it. */
static inline uint8_t *srtp_append_mki(const srtp_context *context, const srtp_master_key *key, uint8_t *out) {
    if (context->parameters.mki_length != 0) memcpy(out, key->mki, context->parameters.mki_length);
    return out + context->parameters.mki_length;
}

/* The session keys at a packet's index: those of the master key, or with a key_derivation_rate those that the stream
 * keeps (`space` may be NULL), or else new ones, which *fresh then points to as well: srtp_keep_keys() or
 * srtp_drop_keys() takes them. NULL without memory. */
const srtp_session_keys *srtp_keys_at(const srtp_context *context, const srtp_master_key *key,
                                      const srtp_index_space *space, int rtcp, uint64_t index,
                                      srtp_session_keys **fresh);
void srtp_keep_keys(const srtp_context *context, const srtp_master_key *key, srtp_index_space *space, uint64_t index,
                    srtp_session_keys *fresh);
static inline void srtp_drop_keys(const srtp_context *context, srtp_session_keys *fresh) {
    if (fresh != NULL) srtp_session_keys_free(fresh, &context->parameters.shape);
}

/* The tag of an RTP packet: how long it is, and whether it has the ROC (RFC 4771) and a MAC. With HMAC-SHA1 the ROC
 * is the tag's beginning; AEAD has its MAC before the MKI, and the tag behind that is the ROC (RFC 7714 7.1, 8.2). */
typedef struct {
    uint8_t length;
    uint8_t carries_roc;
    uint8_t mac_length;
} srtp_tag_shape;

static inline srtp_tag_shape srtp_rtp_tag_shape(const srtp_context *context, uint16_t sequence_number) {
    const srtp_parameters *p = &context->parameters;
    srtp_tag_shape shape = {(uint8_t)p->rtp_tag_length, 0, (uint8_t)p->rtp_tag_length};
    if (__builtin_expect(p->roc_mode != 0, 0)) {
        shape.carries_roc = sequence_number % p->roc_rate == 0;
        if (srtp_is_aead(context))
            shape.mac_length = SRTP_GCM_TAG;
        else if (p->roc_mode == 3)
            shape.mac_length = 0;
        else if (!shape.carries_roc)
            shape.mac_length = p->roc_mode == 1 ? 0 : (uint8_t)p->rtp_tag_length;
        else
            shape.mac_length = (uint8_t)(p->rtp_tag_length - 4);
        shape.length = (uint8_t)(shape.mac_length + (shape.carries_roc ? 4 : 0));
    }
    return shape;
}

#endif
