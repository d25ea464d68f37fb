/* AES in f8 mode (RFC 3711 4.1.2): a keystream that can only be had from its beginning. */
#ifndef SRTP_F8_H
#define SRTP_F8_H

#include "../kernels/kernels.h"

typedef struct {
    const srtp_kernels *kernels;
    const srtp_aes_key *key;
    uint8_t masked_iv[SRTP_AES_BLOCK]; /* IV' */
    uint8_t block[SRTP_AES_BLOCK];     /* S(j - 1) */
    uint32_t j;
    size_t left;                       /* bytes of `block` not used yet */
} srtp_f8;

/* `masked` is the key k_e xor m. */
void srtp_f8_start(srtp_f8 *f8, const srtp_kernels *k, const srtp_aes_key *key, const srtp_aes_key *masked,
                   const uint8_t iv[SRTP_AES_BLOCK]);
void srtp_f8_skip(srtp_f8 *f8, size_t length);
/* in == out is allowed. */
void srtp_f8_xor(srtp_f8 *f8, const uint8_t *in, uint8_t *out, size_t length);
void srtp_f8_end(srtp_f8 *f8);

/* IV = 0x00 || M || PT || SEQ || TS || SSRC || ROC, and that of RTCP (4.1.2.2, 4.1.2.3). */
void srtp_f8_iv(uint8_t iv[SRTP_AES_BLOCK], const uint8_t *rtp_header, uint32_t ssrc, uint64_t index);
void srtp_f8_rtcp_iv(uint8_t iv[SRTP_AES_BLOCK], const uint8_t *rtcp_header, uint32_t e_and_index);

#endif
