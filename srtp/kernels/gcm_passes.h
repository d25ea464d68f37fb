/* AES-GCM (SP 800-38D) in two passes over the message, from a counter mode and a GHASH: what the kernels share that
 * do not run the two together. */
#ifndef SRTP_GCM_PASSES_H
#define SRTP_GCM_PASSES_H

#include "functions.h"

typedef struct {
    void (*ctr)(const srtp_aes_key *key, const uint8_t iv[16], const uint8_t *in, uint8_t *out, size_t length);
    /* GHASH of the additional data, the ciphertext, each filled up with zeros, and the block of their lengths. */
    void (*ghash)(const srtp_gcm_key *key, const uint8_t *aad, size_t aad_length, const uint8_t *ciphertext,
                  size_t length, uint8_t hash[16]);
} srtp_gcm_functions;

SRTP_INLINE void srtp_gcm_tag(const srtp_gcm_functions *f, const srtp_gcm_key *key, const uint8_t counter[16],
                              const uint8_t *aad, size_t aad_length, const uint8_t *ciphertext, size_t length,
                              uint8_t tag[SRTP_GCM_TAG])
{
    uint8_t mask[16] = {0};
    f->ctr(&key->aes, counter, mask, mask, sizeof mask);
    f->ghash(key, aad, aad_length, ciphertext, length, tag);
    for (unsigned i = 0; i < SRTP_GCM_TAG; i++)
        tag[i] ^= mask[i];
    srtp_wipe(mask, sizeof mask);
}

SRTP_INLINE size_t srtp_gcm_blocks(size_t length)
{
    return (length + SRTP_AES_BLOCK - 1) / SRTP_AES_BLOCK;
}

/* The last block of GHASH. */
SRTP_INLINE void srtp_gcm_lengths(uint8_t block[16], size_t aad_length, size_t length)
{
    srtp_store_be64(block, 8 * (uint64_t)aad_length);
    srtp_store_be64(block + 8, 8 * (uint64_t)length);
}

/* With value 1 J_0, the counter block of the tag; the text begins with 2. By stores of 8 bytes, for aes_ctr(). */
SRTP_INLINE void srtp_gcm_counter(uint8_t counter[16], const uint8_t nonce[SRTP_GCM_NONCE], uint32_t value)
{
    memcpy(counter, nonce, 8);
    srtp_store_le64(counter + 8, srtp_load_le32(nonce + 8) | (uint64_t)__builtin_bswap32(value) << 32);
}

SRTP_INLINE void srtp_gcm_seal_by(const srtp_gcm_functions *f, const srtp_gcm_key *key,
                                  const uint8_t nonce[SRTP_GCM_NONCE], const uint8_t *aad, size_t aad_length,
                                  const uint8_t *in, uint8_t *out, size_t length, uint8_t tag[SRTP_GCM_TAG])
{
    uint8_t counter[16];
    srtp_gcm_counter(counter, nonce, 2);
    f->ctr(&key->aes, counter, in, out, length);
    srtp_gcm_counter(counter, nonce, 1);
    srtp_gcm_tag(f, key, counter, aad, aad_length, out, length, tag);
}

SRTP_INLINE int srtp_gcm_open_by(const srtp_gcm_functions *f, const srtp_gcm_key *key,
                                 const uint8_t nonce[SRTP_GCM_NONCE], const uint8_t *aad, size_t aad_length,
                                 const uint8_t *in, uint8_t *out, size_t length, const uint8_t tag[SRTP_GCM_TAG])
{
    uint8_t counter[16], expected[SRTP_GCM_TAG];
    srtp_gcm_counter(counter, nonce, 1);
    srtp_gcm_tag(f, key, counter, aad, aad_length, in, length, expected);
    const int authentic = srtp_equal(expected, tag, SRTP_GCM_TAG);
    srtp_wipe(expected, sizeof expected);
    if (!authentic)
        return 0;
    srtp_gcm_counter(counter, nonce, 2);
    f->ctr(&key->aes, counter, in, out, length);
    return 1;
}

/* Defines the two functions of a kernel's table from its gcm_seal and gcm_open written inline. */
#define SRTP_GCM_DEFINE(kernel, attributes, seal, open)                                                           \
    attributes void srtp_gcm_seal_##kernel(const srtp_gcm_key *key, const uint8_t nonce[SRTP_GCM_NONCE],          \
                                           const uint8_t *aad, size_t aad_length, const uint8_t *in,              \
                                           uint8_t *out, size_t length, uint8_t tag[SRTP_GCM_TAG])                \
    {                                                                                                             \
        seal(key, nonce, aad, aad_length, in, out, length, tag);                                                  \
    }                                                                                                             \
    attributes int srtp_gcm_open_##kernel(const srtp_gcm_key *key, const uint8_t nonce[SRTP_GCM_NONCE],           \
                                          const uint8_t *aad, size_t aad_length, const uint8_t *in, uint8_t *out, \
                                          size_t length, const uint8_t tag[SRTP_GCM_TAG])                         \
    {                                                                                                             \
        return open(key, nonce, aad, aad_length, in, out, length, tag);                                           \
    }

#endif
