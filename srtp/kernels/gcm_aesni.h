/* Multiplication in GCM's field by PCLMULQDQ, on reversed blocks (see gcm_powers.h). */
#ifndef SRTP_GCM_AESNI_H
#define SRTP_GCM_AESNI_H

#include <immintrin.h>

#include "gcm_passes.h"
#include "gcm_powers.h"
#include "partial_block.h"

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

GCM_AESNI_INLINE __m128i srtp_gcm_block(const uint8_t *data)
{
    return srtp_gcm_reverse(_mm_loadu_si128((const __m128i *)data));
}

GCM_AESNI_INLINE __m128i srtp_gcm_power_of(const srtp_gcm_key *key, size_t n)
{
    return _mm_loadu_si128((const __m128i *)srtp_gcm_power(key, n));
}

/* A GHASH in the making: sums of up to sixteen products, each reduced once. */
typedef struct {
    const srtp_gcm_key *key;
    srtp_gcm_product sum;
    __m128i y;       /* of the sums before, for the first block of this one */
    size_t left;     /* blocks to come in the whole message ... */
    size_t in_sum;   /* ... and in this sum */
} srtp_gcm_hash;

GCM_AESNI_INLINE srtp_gcm_hash srtp_gcm_hash_begin(const srtp_gcm_key *key, size_t blocks)
{
    const size_t in_sum = blocks < SRTP_GCM_POWERS ? blocks : SRTP_GCM_POWERS;
    const srtp_gcm_hash h = {key, srtp_gcm_no_product(), _mm_setzero_si128(), blocks, in_sum};
    return h;
}

/* Moves on by the blocks of this sum that are in it now. */
GCM_AESNI_INLINE void srtp_gcm_hash_advance(srtp_gcm_hash *h, size_t blocks)
{
    h->left -= blocks;
    h->in_sum -= blocks;
    if (h->in_sum == 0) {
        const __m128i y = srtp_gcm_reduce(h->sum);
        *h = srtp_gcm_hash_begin(h->key, h->left);
        h->y = y;
    }
}

GCM_AESNI_INLINE void srtp_gcm_hash_block(srtp_gcm_hash *h, __m128i block)
{
    srtp_gcm_multiply(&h->sum, _mm_xor_si128(block, h->y), srtp_gcm_power_of(h->key, h->in_sum));
    h->y = _mm_setzero_si128();
    srtp_gcm_hash_advance(h, 1);
}

GCM_AESNI_INLINE void srtp_gcm_hash_bytes(srtp_gcm_hash *h, const uint8_t *data, size_t length)
{
    for (size_t whole = length / SRTP_AES_BLOCK, count; whole > 0; whole -= count) {
        count = whole < h->in_sum ? whole : h->in_sum;
        srtp_gcm_multiply(&h->sum, _mm_xor_si128(srtp_gcm_block(data), h->y), srtp_gcm_power_of(h->key, h->in_sum));
        for (size_t i = 1; i < count; i++) {
            const __m128i power = srtp_gcm_power_of(h->key, h->in_sum - i);
            srtp_gcm_multiply(&h->sum, srtp_gcm_block(data + SRTP_AES_BLOCK * i), power);
        }
        h->y = _mm_setzero_si128();
        data += SRTP_AES_BLOCK * count;
        srtp_gcm_hash_advance(h, count);
    }
    length %= SRTP_AES_BLOCK;
    if (length > 0)
        srtp_gcm_hash_block(h, srtp_gcm_reverse(srtp_partial_block(data, length)));
}

/* The block of lengths, and the result. */
GCM_AESNI_INLINE void srtp_gcm_hash_end(srtp_gcm_hash *h, size_t aad_length, size_t length, uint8_t hash[16])
{
    srtp_gcm_hash_block(h, _mm_set_epi64x((long long)(8 * aad_length), (long long)(8 * length)));
    _mm_storeu_si128((__m128i *)hash, srtp_gcm_reverse(h->y));
}

#endif
