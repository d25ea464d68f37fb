/* AES-GCM by AES-NI and PCLMULQDQ: GHASH of sixteen blocks to one reduction. */
#include "functions.h"

#ifdef SRTP_X86

#include <immintrin.h>

#include "gcm_aesni.h"

GCM_AESNI void srtp_gcm_expand_aesni(srtp_gcm_key *key, const uint8_t *key_bytes, size_t key_length)
{
    uint8_t h[16] = {0};
    uint64_t words[2];

    srtp_aes_expand_aesni(&key->aes, key_bytes, key_length);
    srtp_aes_encrypt_block_aesni(&key->aes, h, h);
    srtp_gcm_first_power(words, h);
    const __m128i first = _mm_loadu_si128((const __m128i *)words);
    __m128i power = first;
    for (size_t n = 1; n <= SRTP_GCM_POWERS; n++) {
        _mm_storeu_si128((__m128i *)(key->powers + 16 * (SRTP_GCM_POWERS - n)), power);
        srtp_gcm_product product = srtp_gcm_no_product();
        srtp_gcm_multiply(&product, power, first);
        power = srtp_gcm_reduce(product);
    }
    srtp_wipe(h, sizeof h);
    srtp_wipe(words, sizeof words);
}

GCM_AESNI static void ghash(const srtp_gcm_key *key, const uint8_t *aad, size_t aad_length, const uint8_t *ciphertext,
                            size_t length, uint8_t hash[16])
{
    srtp_gcm_hash h = srtp_gcm_hash_begin(key, srtp_gcm_blocks(aad_length) + srtp_gcm_blocks(length) + 1);
    srtp_gcm_hash_bytes(&h, aad, aad_length);
    srtp_gcm_hash_bytes(&h, ciphertext, length);
    srtp_gcm_hash_end(&h, aad_length, length, hash);
}

static const srtp_gcm_functions FUNCTIONS = {srtp_aes_ctr_aesni, ghash};

#define SEAL(...) srtp_gcm_seal_by(&FUNCTIONS, __VA_ARGS__)
#define OPEN(...) srtp_gcm_open_by(&FUNCTIONS, __VA_ARGS__)
SRTP_GCM_DEFINE(aesni, GCM_AESNI, SEAL, OPEN)

#endif
