#include "f8.h"

#include <string.h>

#include "packet.h"

void srtp_f8_start(srtp_f8 *f8, const srtp_kernels *k, const srtp_aes_key *key, const srtp_aes_key *masked,
                   const uint8_t iv[SRTP_AES_BLOCK]) {
    f8->kernels = k;
    f8->key = key;
    f8->j = 0;
    f8->left = 0;
    memset(f8->block, 0, sizeof f8->block);
    k->aes_encrypt_block(masked, iv, f8->masked_iv);
}

/* S(j) = E(k_e, IV' xor j xor S(j - 1)) */
static void next_block(srtp_f8 *f8) {
    uint8_t x[SRTP_AES_BLOCK];
    for (int i = 0; i < SRTP_AES_BLOCK; i++) x[i] = f8->masked_iv[i] ^ f8->block[i];
    for (int i = 0; i < 4; i++) x[15 - i] ^= (uint8_t)(f8->j >> 8 * i);
    f8->kernels->aes_encrypt_block(f8->key, x, f8->block);
    f8->j++;
    f8->left = SRTP_AES_BLOCK;
}

void srtp_f8_skip(srtp_f8 *f8, size_t length) {
    for (; length > 0; length--) {
        if (f8->left == 0) next_block(f8);
        f8->left--;
    }
}

void srtp_f8_xor(srtp_f8 *f8, const uint8_t *in, uint8_t *out, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (f8->left == 0) next_block(f8);
        out[i] = in[i] ^ f8->block[SRTP_AES_BLOCK - f8->left--];
    }
}

void srtp_f8_end(srtp_f8 *f8) { srtp_wipe(f8, sizeof *f8); }

/* Sequence number and SSRC are those that the index was taken for, whatever stands in the header by now. */
void srtp_f8_iv(uint8_t iv[SRTP_AES_BLOCK], const uint8_t *rtp_header, uint32_t ssrc, uint64_t index) {
    memcpy(iv, rtp_header, 8);
    iv[0] = 0;
    iv[2] = (uint8_t)(index >> 8);
    iv[3] = (uint8_t)index;
    srtp_store32(iv + 8, ssrc);
    srtp_store32(iv + 12, (uint32_t)(index >> 16));
}

void srtp_f8_rtcp_iv(uint8_t iv[SRTP_AES_BLOCK], const uint8_t *rtcp_header, uint32_t e_and_index) {
    memset(iv, 0, 4);
    srtp_store32(iv + 4, e_and_index);
    memcpy(iv + 8, rtcp_header, 8);
}
