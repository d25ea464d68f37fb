/* The functions that the tables of dispatch.c are made of, each defined in the kernel file of its name. */
#ifndef SRTP_KERNEL_FUNCTIONS_H
#define SRTP_KERNEL_FUNCTIONS_H

#include "byte_order.h"
#include "kernels.h"

#if defined(__x86_64__)
#define SRTP_X86 1
#elif defined(__AARCH64EL__) && defined(__linux__) && (!defined(__clang__) || __clang_major__ >= 17)
/* Older clang has the crypto intrinsics only where the whole file is compiled for them. */
#define SRTP_ARM64 1
#endif

/* Inlined into its callers even across target attributes, so that a round function becomes part of the kernel. */
#define SRTP_INLINE static inline __attribute__((always_inline))

typedef void srtp_sha1_blocks_function(uint32_t state[5], const uint8_t *data, size_t block_count);

#define SRTP_DECLARE_AES(kernel)                                                                              \
    void srtp_aes_expand_##kernel(srtp_aes_key *key, const uint8_t *key_bytes, size_t key_length);            \
    void srtp_aes_encrypt_block_##kernel(const srtp_aes_key *key, const uint8_t in[16], uint8_t out[16])
#define SRTP_DECLARE_CTR(kernel)                                                                              \
    void srtp_aes_ctr_##kernel(const srtp_aes_key *key, const uint8_t iv[16], const uint8_t *in, uint8_t *out, \
                               size_t length);                                                                \
    void srtp_aes_ctr_batch_##kernel(const srtp_aes_ctr_job *jobs, size_t count)
#define SRTP_DECLARE_SHA1(kernel)                                                                             \
    void srtp_sha1_blocks_##kernel(uint32_t state[5], const uint8_t *data, size_t block_count);               \
    void srtp_hmac_sha1_##kernel(const srtp_hmac_sha1_key *key, const uint8_t *data, size_t length,           \
                                 const uint8_t *tail, size_t tail_length, uint8_t tag[SRTP_SHA1_DIGEST])
#define SRTP_DECLARE_HMAC_BATCH(kernel) void srtp_hmac_sha1_batch_##kernel(srtp_hmac_sha1_job *jobs, size_t count)
#define SRTP_DECLARE_GCM(kernel)                                                                              \
    void srtp_gcm_seal_##kernel(const srtp_gcm_key *key, const uint8_t nonce[SRTP_GCM_NONCE], const uint8_t *aad, \
                                size_t aad_length, const uint8_t *in, uint8_t *out, size_t length,            \
                                uint8_t tag[SRTP_GCM_TAG]);                                                   \
    int srtp_gcm_open_##kernel(const srtp_gcm_key *key, const uint8_t nonce[SRTP_GCM_NONCE], const uint8_t *aad, \
                               size_t aad_length, const uint8_t *in, uint8_t *out, size_t length,             \
                               const uint8_t tag[SRTP_GCM_TAG])
#define SRTP_DECLARE_GCM_KEY(kernel)                                                                          \
    void srtp_gcm_expand_##kernel(srtp_gcm_key *key, const uint8_t *key_bytes, size_t key_length)

SRTP_DECLARE_AES(portable);
SRTP_DECLARE_CTR(portable);
SRTP_DECLARE_SHA1(portable);
SRTP_DECLARE_HMAC_BATCH(portable);
SRTP_DECLARE_GCM(portable);
SRTP_DECLARE_GCM_KEY(portable);

#ifdef SRTP_X86
SRTP_DECLARE_AES(aesni);
SRTP_DECLARE_CTR(aesni);
SRTP_DECLARE_CTR(vaes256);
SRTP_DECLARE_CTR(vaes512);
SRTP_DECLARE_SHA1(shani);
SRTP_DECLARE_HMAC_BATCH(shani);
SRTP_DECLARE_HMAC_BATCH(avx512_shani);
SRTP_DECLARE_HMAC_BATCH(avx512);
SRTP_DECLARE_HMAC_BATCH(avx512_x8_shani);
SRTP_DECLARE_HMAC_BATCH(avx512_x8);
SRTP_DECLARE_HMAC_BATCH(avx2_shani);
SRTP_DECLARE_HMAC_BATCH(avx2);
SRTP_DECLARE_GCM(aesni);
SRTP_DECLARE_GCM(vaes256);
SRTP_DECLARE_GCM(vaes512);
SRTP_DECLARE_GCM_KEY(aesni);
#endif

#ifdef SRTP_ARM64
SRTP_DECLARE_AES(armv8);
SRTP_DECLARE_CTR(armv8);
SRTP_DECLARE_SHA1(armv8);
SRTP_DECLARE_HMAC_BATCH(armv8);
SRTP_DECLARE_GCM(armv8);
SRTP_DECLARE_GCM_KEY(armv8);
#endif

/* Copies fewer than 64 bytes by moves of fixed sizes that overlap. */
SRTP_INLINE void srtp_copy_short(uint8_t *out, const uint8_t *in, size_t length)
{
    if (length >= 32) {
        uint8_t first[32], last[32];
        memcpy(first, in, 32);
        memcpy(last, in + length - 32, 32);
        memcpy(out, first, 32);
        memcpy(out + length - 32, last, 32);
    } else if (length >= 16) {
        uint8_t first[16], last[16];
        memcpy(first, in, 16);
        memcpy(last, in + length - 16, 16);
        memcpy(out, first, 16);
        memcpy(out + length - 16, last, 16);
    } else if (length >= 8) {
        uint64_t first, last;
        memcpy(&first, in, 8);
        memcpy(&last, in + length - 8, 8);
        memcpy(out, &first, 8);
        memcpy(out + length - 8, &last, 8);
    } else if (length >= 4) {
        uint32_t first, last;
        memcpy(&first, in, 4);
        memcpy(&last, in + length - 4, 4);
        memcpy(out, &first, 4);
        memcpy(out + length - 4, &last, 4);
    } else {
        for (size_t i = 0; i < length; i++)
            out[i] = in[i];
    }
}

#endif
