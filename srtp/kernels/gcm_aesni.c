/* AES-GCM by AES-NI and PCLMULQDQ: GHASH of eight blocks to one reduction. */
#include "functions.h"

#ifdef SRTP_X86

#include <immintrin.h>

#include "gcm_aesni.h"
#include "gcm_passes.h"

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

GCM_AESNI_INLINE __m128i block_at(const uint8_t *data)
{
    return srtp_gcm_reverse(_mm_loadu_si128((const __m128i *)data));
}

GCM_AESNI_INLINE __m128i power(const srtp_gcm_key *key, size_t n)
{
    return _mm_loadu_si128((const __m128i *)srtp_gcm_power(key, n));
}

GCM_AESNI static void ghash(const srtp_gcm_key *key, uint8_t y_bytes[16], const uint8_t *data, size_t length)
{
    __m128i y = block_at(y_bytes);

    while (length >= SRTP_AES_BLOCK) {
        const size_t whole = length / SRTP_AES_BLOCK, blocks = whole < 8 ? whole : 8;
        srtp_gcm_product product = srtp_gcm_no_product();
        srtp_gcm_multiply(&product, _mm_xor_si128(y, block_at(data)), power(key, blocks));
        for (size_t i = 1; i < blocks; i++)
            srtp_gcm_multiply(&product, block_at(data + SRTP_AES_BLOCK * i), power(key, blocks - i));
        y = srtp_gcm_reduce(product);
        data += SRTP_AES_BLOCK * blocks;
        length -= SRTP_AES_BLOCK * blocks;
    }
    if (length > 0) {
        uint8_t block[SRTP_AES_BLOCK] = {0};
        srtp_copy_short(block, data, length);
        srtp_gcm_product product = srtp_gcm_no_product();
        srtp_gcm_multiply(&product, _mm_xor_si128(y, block_at(block)), power(key, 1));
        y = srtp_gcm_reduce(product);
    }
    _mm_storeu_si128((__m128i *)y_bytes, srtp_gcm_reverse(y));
}

static const srtp_gcm_functions FUNCTIONS = {srtp_aes_encrypt_block_aesni, srtp_aes_ctr_aesni, ghash};

#define SEAL(...) srtp_gcm_seal_by(&FUNCTIONS, __VA_ARGS__)
#define OPEN(...) srtp_gcm_open_by(&FUNCTIONS, __VA_ARGS__)
SRTP_GCM_DEFINE(aesni, GCM_AESNI, SEAL, OPEN)

#endif
