/* Multiplication in GCM's field by PCLMULQDQ, on reversed blocks (see gcm_powers.h). */
#ifndef SRTP_GCM_AESNI_H
#define SRTP_GCM_AESNI_H

#include <immintrin.h>

#include "gcm_powers.h"

#define GCM_AESNI __attribute__((target("pclmul,sse4.1,ssse3")))
#define GCM_AESNI_INLINE static inline __attribute__((always_inline, target("pclmul,sse4.1,ssse3")))

/* A sum of products of 255 bits, in three parts that overlap: to be reduced once. */
typedef struct {
    __m128i low, middle, high;
} srtp_gcm_product;

GCM_AESNI_INLINE __m128i srtp_gcm_reverse(__m128i block)
{
    return _mm_shuffle_epi8(block, _mm_set_epi64x(0x0001020304050607, 0x08090A0B0C0D0E0F));
}

GCM_AESNI_INLINE srtp_gcm_product srtp_gcm_no_product(void)
{
    const srtp_gcm_product none = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
    return none;
}

/* sum += x y */
GCM_AESNI_INLINE void srtp_gcm_multiply(srtp_gcm_product *sum, __m128i x, __m128i y)
{
    sum->low = _mm_xor_si128(sum->low, _mm_clmulepi64_si128(x, y, 0x00));
    sum->high = _mm_xor_si128(sum->high, _mm_clmulepi64_si128(x, y, 0x11));
    sum->middle = _mm_xor_si128(sum->middle, _mm_clmulepi64_si128(x, y, 0x01));
    sum->middle = _mm_xor_si128(sum->middle, _mm_clmulepi64_si128(x, y, 0x10));
}

/* high + low x^-128 for two whole halves: two folds of 64 bits each, by the high word of the modulus. */
GCM_AESNI_INLINE __m128i srtp_gcm_fold(__m128i low, __m128i high)
{
    const __m128i modulus = _mm_set_epi64x(0, (long long)SRTP_POLYVAL_HIGH);
    for (unsigned i = 0; i < 2; i++)
        low = _mm_xor_si128(_mm_shuffle_epi32(low, 0x4E), _mm_clmulepi64_si128(low, modulus, 0x00));
    return _mm_xor_si128(high, low);
}

GCM_AESNI_INLINE __m128i srtp_gcm_reduce(srtp_gcm_product product)
{
    return srtp_gcm_fold(_mm_xor_si128(product.low, _mm_slli_si128(product.middle, 8)),
                         _mm_xor_si128(product.high, _mm_srli_si128(product.middle, 8)));
}

#endif
