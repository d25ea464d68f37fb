/* HMAC-SHA1 of many packets in the eight lanes of 256-bit registers, from the operations that AVX2 and AVX-512 do
 * differently.
 *
 * The including file defines LANES_INLINE and LANES_TARGET with its target attribute, and on 256-bit registers
 * ROTATE(x, n), CHOOSE, PARITY and MAJORITY(b, c, d), before it includes this. */
#ifndef SRTP_HMAC_EIGHT_LANES_H
#define SRTP_HMAC_EIGHT_LANES_H

#define SRTP_LANES 8
#include "hmac_lanes.h"

/* Words of eight half blocks, one a register, to eight registers of word t of every half block, in place. */
LANES_INLINE void transpose(__m256i w[8])
{
    __m256i t[8];
    for (unsigned i = 0; i < 8; i += 4) {
        const __m256i low01 = _mm256_unpacklo_epi32(w[i], w[i + 1]), high01 = _mm256_unpackhi_epi32(w[i], w[i + 1]);
        const __m256i low23 = _mm256_unpacklo_epi32(w[i + 2], w[i + 3]);
        const __m256i high23 = _mm256_unpackhi_epi32(w[i + 2], w[i + 3]);
        t[i] = _mm256_unpacklo_epi64(low01, low23);
        t[i + 1] = _mm256_unpackhi_epi64(low01, low23);
        t[i + 2] = _mm256_unpacklo_epi64(high01, high23);
        t[i + 3] = _mm256_unpackhi_epi64(high01, high23);
    }
    for (unsigned j = 0; j < 4; j++) {
        w[j] = _mm256_permute2x128_si256(t[j], t[j + 4], 0x20);
        w[j + 4] = _mm256_permute2x128_si256(t[j], t[j + 4], 0x31);
    }
}

#define ROUND(f, a, b, c, d, e, t)                                                                             \
    do {                                                                                                       \
        if ((t) >= 16)                                                                                         \
            w[(t) & 15] = ROTATE(_mm256_xor_si256(PARITY(w[(t) & 15], w[(t + 13) & 15], w[(t + 8) & 15]),      \
                                                  w[(t + 2) & 15]), 1);                                        \
        const __m256i constant_and_word = _mm256_add_epi32(_mm256_add_epi32(e, k), w[(t) & 15]);               \
        e = _mm256_add_epi32(_mm256_add_epi32(constant_and_word, f(b, c, d)), ROTATE(a, 5));                   \
        b = ROTATE(b, 30);                                                                                     \
    } while (0)
#define FIVE_ROUNDS(f, t)                 \
    ROUND(f, a, b, c, d, e, (t));         \
    ROUND(f, e, a, b, c, d, (t) + 1);     \
    ROUND(f, d, e, a, b, c, (t) + 2);     \
    ROUND(f, c, d, e, a, b, (t) + 3);     \
    ROUND(f, b, c, d, e, a, (t) + 4)
#define TWENTY_ROUNDS(f, constant, t)     \
    k = _mm256_set1_epi32((int)constant); \
    FIVE_ROUNDS(f, (t));                  \
    FIVE_ROUNDS(f, (t) + 5);              \
    FIVE_ROUNDS(f, (t) + 10);             \
    FIVE_ROUNDS(f, (t) + 15)

LANES_INLINE void rounds(__m256i state[5], __m256i w[16])
{
    __m256i a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], k;

    TWENTY_ROUNDS(CHOOSE, 0x5A827999u, 0);
    TWENTY_ROUNDS(PARITY, 0x6ED9EBA1u, 20);
    TWENTY_ROUNDS(MAJORITY, 0x8F1BBCDCu, 40);
    TWENTY_ROUNDS(PARITY, 0xCA62C1D6u, 60);
    state[0] = _mm256_add_epi32(state[0], a);
    state[1] = _mm256_add_epi32(state[1], b);
    state[2] = _mm256_add_epi32(state[2], c);
    state[3] = _mm256_add_epi32(state[3], d);
    state[4] = _mm256_add_epi32(state[4], e);
}

LANES_TARGET static void hash(srtp_lane_words state, const uint8_t *const data[SRTP_LANES], size_t blocks)
{
    const __m256i reverse = _mm256_broadcastsi128_si256(_mm_set_epi64x(0x0C0D0E0F08090A0B, 0x0405060700010203));
    __m256i s[5], w[16];

    for (unsigned i = 0; i < 5; i++)
        s[i] = _mm256_load_si256((const __m256i *)state[i]);
    for (size_t offset = 0; offset < SRTP_SHA1_BLOCK * blocks; offset += SRTP_SHA1_BLOCK) {
        for (unsigned half = 0; half < 2; half++) {
            for (unsigned lane = 0; lane < SRTP_LANES; lane++) {
                const uint8_t *bytes = data[lane] + offset + 32 * half;
                w[8 * half + lane] = _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i *)bytes), reverse);
            }
            transpose(w + 8 * half);
        }
        rounds(s, w);
    }
    for (unsigned i = 0; i < 5; i++)
        _mm256_store_si256((__m256i *)state[i], s[i]);
}

LANES_TARGET static void outer(srtp_lane_words state, srtp_lane_words digest)
{
    __m256i s[5], w[16];

    for (unsigned i = 0; i < 5; i++) {
        s[i] = _mm256_load_si256((const __m256i *)state[i]);
        w[i] = _mm256_load_si256((const __m256i *)digest[i]);
    }
    w[5] = _mm256_set1_epi32(INT32_MIN);
    for (unsigned i = 6; i < 15; i++)
        w[i] = _mm256_setzero_si256();
    w[15] = _mm256_set1_epi32(SRTP_HMAC_OUTER_BITS);
    rounds(s, w);
    for (unsigned i = 0; i < 5; i++)
        _mm256_store_si256((__m256i *)state[i], s[i]);
}

#endif
