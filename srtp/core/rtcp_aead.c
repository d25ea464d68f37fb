#include "rtcp_aead.h"

#include <stdlib.h>

#include "packet.h"
#include "packet_index.h"

/* A usual packet and its index word; a longer one of E=0 is put together on the heap. */
#define USUAL 1504

static void prepare(const srtp_session_keys *keys, const uint8_t *packet, uint32_t ssrc, uint32_t word,
                    uint8_t nonce[SRTP_AES_BLOCK], uint8_t aad[SRTP_RTCP_HEADER + 4]) {
    srtp_gcm_nonce(&keys->salt, ssrc, word & SRTP_MAX_RTCP_INDEX, nonce);
    memcpy(aad, packet, SRTP_RTCP_HEADER);
    srtp_store32(aad + SRTP_RTCP_HEADER, word);
}

void srtp_rtcp_seal(const srtp_context *context, const srtp_session_keys *keys, uint8_t *out, size_t length,
                    uint32_t ssrc, uint32_t word) {
    const srtp_kernels *k = context->kernels;
    uint8_t nonce[SRTP_AES_BLOCK], aad[SRTP_RTCP_HEADER + 4], tag[SRTP_GCM_TAG];
    prepare(keys, out, ssrc, word, nonce, aad);
    if (word >> 31) {
        uint8_t *payload = out + SRTP_RTCP_HEADER;
        k->gcm_seal(&keys->gcm, nonce, aad, sizeof aad, payload, payload, length - SRTP_RTCP_HEADER, tag);
    } else {
        srtp_store32(out + length, word);
        k->gcm_seal(&keys->gcm, nonce, out, length + 4, NULL, NULL, 0, tag);
    }
    memcpy(out + length, tag, sizeof tag);
}

static srtp_status open_clear(const srtp_context *context, const srtp_session_keys *keys, const uint8_t *nonce,
                              const uint8_t *in, uint8_t *out, size_t length, uint32_t word) {
    uint8_t usual[USUAL];
    uint8_t *aad = length + 4 <= sizeof usual ? usual : malloc(length + 4);
    if (aad == NULL) return SRTP_NO_MEMORY;
    memcpy(aad, in, length);
    srtp_store32(aad + length, word);
    int authentic = context->kernels->gcm_open(&keys->gcm, nonce, aad, length + 4, NULL, NULL, 0, in + length);
    if (aad != usual) free(aad);
    if (!authentic) return SRTP_AUTH_FAILED;
    if (in != out) memcpy(out, in, length);
    return SRTP_OK;
}

srtp_status srtp_rtcp_open(const srtp_context *context, const srtp_session_keys *keys, const uint8_t *in, uint8_t *out,
                           size_t length, uint32_t ssrc, uint32_t word) {
    uint8_t nonce[SRTP_AES_BLOCK], aad[SRTP_RTCP_HEADER + 4];
    prepare(keys, in, ssrc, word, nonce, aad);
    if (!(word >> 31)) return open_clear(context, keys, nonce, in, out, length, word);
    if (!context->kernels->gcm_open(&keys->gcm, nonce, aad, sizeof aad, in + SRTP_RTCP_HEADER, out + SRTP_RTCP_HEADER,
                                    length - SRTP_RTCP_HEADER, in + length))
        return SRTP_AUTH_FAILED;
    memcpy(out, aad, SRTP_RTCP_HEADER);
    return SRTP_OK;
}
