/* AES-GCM by VAES and VPCLMULQDQ on 256 bits: GHASH of sixteen blocks to one reduction, two blocks a register. */
#include "functions.h"

#ifdef SRTP_X86

#include <immintrin.h>

#include "gcm_aesni.h"

#define VAES256 __attribute__((target("vpclmulqdq,avx2,pclmul")))
#define VAES256_INLINE static inline __attribute__((always_inline, target("vpclmulqdq,avx2,pclmul")))

VAES256_INLINE __m128i sum_of_lanes(__m256i x)
{
    return _mm_xor_si128(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}

/* One whole sum of sixteen blocks, with the y before it. */
VAES256_INLINE __m128i sixteen_blocks(const srtp_gcm_key *key, __m128i y, const uint8_t *data)
{
    const __m256i order = _mm256_broadcastsi128_si256(_mm_set_epi64x(0x0001020304050607, 0x08090A0B0C0D0E0F));
    __m256i low = _mm256_setzero_si256(), high = low, middle = low;
    srtp_gcm_product sum = srtp_gcm_no_product();

    srtp_gcm_multiply(&sum, y, srtp_gcm_power_of(key, 16));
    for (unsigned i = 0; i < 16; i += 2) {
        const __m256i bytes = _mm256_loadu_si256((const __m256i *)(data + SRTP_AES_BLOCK * i));
        const __m256i blocks = _mm256_shuffle_epi8(bytes, order);
        const __m256i powers = _mm256_loadu_si256((const __m256i *)srtp_gcm_power(key, 16 - i));
        low = _mm256_xor_si256(low, _mm256_clmulepi64_epi128(blocks, powers, 0x00));
        high = _mm256_xor_si256(high, _mm256_clmulepi64_epi128(blocks, powers, 0x11));
        middle = _mm256_xor_si256(middle, _mm256_clmulepi64_epi128(blocks, powers, 0x01));
        middle = _mm256_xor_si256(middle, _mm256_clmulepi64_epi128(blocks, powers, 0x10));
    }
    sum.low = _mm_xor_si128(sum.low, sum_of_lanes(low));
    sum.high = _mm_xor_si128(sum.high, sum_of_lanes(high));
    sum.middle = _mm_xor_si128(sum.middle, sum_of_lanes(middle));
    return srtp_gcm_reduce(sum);
}

/* The header and what does not fill sixteen blocks go first and last by one block a register. */
VAES256 static void ghash(const srtp_gcm_key *key, const uint8_t *aad, size_t aad_length, const uint8_t *ciphertext,
                          size_t length, uint8_t hash[16])
{
    const size_t aad_blocks = srtp_gcm_blocks(aad_length), text_blocks = srtp_gcm_blocks(length);
    const size_t whole = length / (16 * SRTP_AES_BLOCK);
    srtp_gcm_hash h;

    if (whole == 0) {
        h = srtp_gcm_hash_begin(key, aad_blocks + text_blocks + 1);
        srtp_gcm_hash_bytes(&h, aad, aad_length);
    } else {
        h = srtp_gcm_hash_begin(key, aad_blocks);
        srtp_gcm_hash_bytes(&h, aad, aad_length);
        __m128i y = h.y;
        for (size_t i = 0; i < whole; i++, ciphertext += 16 * SRTP_AES_BLOCK)
            y = sixteen_blocks(key, y, ciphertext);
        h = srtp_gcm_hash_begin(key, text_blocks - 16 * whole + 1);
        h.y = y;
    }
    srtp_gcm_hash_bytes(&h, ciphertext, length - 16 * SRTP_AES_BLOCK * whole);
    srtp_gcm_hash_end(&h, aad_length, length, hash);
}

static const srtp_gcm_functions FUNCTIONS = {srtp_aes_ctr_vaes256, ghash};

#define SEAL(...) srtp_gcm_seal_by(&FUNCTIONS, __VA_ARGS__)
#define OPEN(...) srtp_gcm_open_by(&FUNCTIONS, __VA_ARGS__)
SRTP_GCM_DEFINE(vaes256, VAES256, SEAL, OPEN)

#endif
