/* HMAC-SHA1 of many packets by AVX-512, sixteen lanes. */
#include "functions.h"

#ifdef SRTP_X86

#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#define LANES_INLINE static inline __attribute__((always_inline, target("avx512f,avx512bw,avx512vl")))
#define SRTP_LANES 16
#include "hmac_lanes.h"

/* Words of sixteen blocks, one a register, to sixteen registers of word t of every block, in place. */
LANES_INLINE void transpose(__m512i w[16])
{
    __m512i t[16];
    for (unsigned i = 0; i < 16; i += 4) {
        const __m512i low01 = _mm512_unpacklo_epi32(w[i], w[i + 1]), high01 = _mm512_unpackhi_epi32(w[i], w[i + 1]);
        const __m512i low23 = _mm512_unpacklo_epi32(w[i + 2], w[i + 3]);
        const __m512i high23 = _mm512_unpackhi_epi32(w[i + 2], w[i + 3]);
        t[i] = _mm512_unpacklo_epi64(low01, low23);
        t[i + 1] = _mm512_unpackhi_epi64(low01, low23);
        t[i + 2] = _mm512_unpacklo_epi64(high01, high23);
        t[i + 3] = _mm512_unpackhi_epi64(high01, high23);
    }
    /* Now t[i + j], quarter q, holds word 4 q + j of blocks i..i+3. */
    for (unsigned j = 0; j < 4; j++) {
        const __m512i even_a = _mm512_shuffle_i32x4(t[j], t[j + 4], 0x88);
        const __m512i even_b = _mm512_shuffle_i32x4(t[j + 8], t[j + 12], 0x88);
        const __m512i odd_a = _mm512_shuffle_i32x4(t[j], t[j + 4], 0xDD);
        const __m512i odd_b = _mm512_shuffle_i32x4(t[j + 8], t[j + 12], 0xDD);
        w[j] = _mm512_shuffle_i32x4(even_a, even_b, 0x88);
        w[j + 8] = _mm512_shuffle_i32x4(even_a, even_b, 0xDD);
        w[j + 4] = _mm512_shuffle_i32x4(odd_a, odd_b, 0x88);
        w[j + 12] = _mm512_shuffle_i32x4(odd_a, odd_b, 0xDD);
    }
}

/* Truth tables of VPTERNLOG for the three functions of SHA-1. */
#define CHOOSE 0xCA
#define PARITY 0x96
#define MAJORITY 0xE8

#define ROUND(f, a, b, c, d, e, t)                                                                            \
    do {                                                                                                      \
        if ((t) >= 16) {                                                                                      \
            const __m512i sum = _mm512_ternarylogic_epi32(w[(t) & 15], w[(t + 13) & 15], w[(t + 8) & 15],     \
                                                          PARITY);                                            \
            w[(t) & 15] = _mm512_rol_epi32(_mm512_xor_si512(sum, w[(t + 2) & 15]), 1);                        \
        }                                                                                                     \
        const __m512i constant_and_word = _mm512_add_epi32(_mm512_add_epi32(e, k), w[(t) & 15]);              \
        const __m512i mixed = _mm512_ternarylogic_epi32(b, c, d, f);                                          \
        e = _mm512_add_epi32(_mm512_add_epi32(constant_and_word, mixed), _mm512_rol_epi32(a, 5));             \
        b = _mm512_rol_epi32(b, 30);                                                                          \
    } while (0)
#define FIVE_ROUNDS(f, t)                 \
    ROUND(f, a, b, c, d, e, (t));         \
    ROUND(f, e, a, b, c, d, (t) + 1);     \
    ROUND(f, d, e, a, b, c, (t) + 2);     \
    ROUND(f, c, d, e, a, b, (t) + 3);     \
    ROUND(f, b, c, d, e, a, (t) + 4)
#define TWENTY_ROUNDS(f, constant, t)     \
    k = _mm512_set1_epi32((int)constant); \
    FIVE_ROUNDS(f, (t));                  \
    FIVE_ROUNDS(f, (t) + 5);              \
    FIVE_ROUNDS(f, (t) + 10);             \
    FIVE_ROUNDS(f, (t) + 15)

LANES_INLINE void rounds(__m512i state[5], __m512i w[16])
{
    __m512i a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], k;

    TWENTY_ROUNDS(CHOOSE, 0x5A827999u, 0);
    TWENTY_ROUNDS(PARITY, 0x6ED9EBA1u, 20);
    TWENTY_ROUNDS(MAJORITY, 0x8F1BBCDCu, 40);
    TWENTY_ROUNDS(PARITY, 0xCA62C1D6u, 60);
    state[0] = _mm512_add_epi32(state[0], a);
    state[1] = _mm512_add_epi32(state[1], b);
    state[2] = _mm512_add_epi32(state[2], c);
    state[3] = _mm512_add_epi32(state[3], d);
    state[4] = _mm512_add_epi32(state[4], e);
}

AVX512 static void hash(srtp_lane_words state, const uint8_t *const data[SRTP_LANES], size_t blocks)
{
    const __m512i reverse = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0C0D0E0F08090A0B, 0x0405060700010203));
    __m512i s[5], w[16];

    for (unsigned i = 0; i < 5; i++)
        s[i] = _mm512_load_si512(state[i]);
    for (size_t offset = 0; offset < SRTP_SHA1_BLOCK * blocks; offset += SRTP_SHA1_BLOCK) {
        for (unsigned lane = 0; lane < SRTP_LANES; lane++)
            w[lane] = _mm512_shuffle_epi8(_mm512_loadu_si512(data[lane] + offset), reverse);
        transpose(w);
        rounds(s, w);
    }
    for (unsigned i = 0; i < 5; i++)
        _mm512_store_si512(state[i], s[i]);
}

AVX512 static void outer(srtp_lane_words state, srtp_lane_words digest)
{
    __m512i s[5], w[16];

    for (unsigned i = 0; i < 5; i++) {
        s[i] = _mm512_load_si512(state[i]);
        w[i] = _mm512_load_si512(digest[i]);
    }
    w[5] = _mm512_set1_epi32(INT32_MIN);
    for (unsigned i = 6; i < 15; i++)
        w[i] = _mm512_setzero_si512();
    w[15] = _mm512_set1_epi32(SRTP_HMAC_OUTER_BITS);
    rounds(s, w);
    for (unsigned i = 0; i < 5; i++)
        _mm512_store_si512(state[i], s[i]);
}

/* Sixteen lanes take one and a half times as long as eight. */
AVX512 void srtp_hmac_sha1_batch_avx512_shani(srtp_hmac_sha1_job *jobs, size_t count)
{
    lanes_batch(jobs, count, 10, 4, hash, outer, srtp_sha1_blocks_shani, srtp_hmac_sha1_batch_avx512_x8_shani);
}

AVX512 void srtp_hmac_sha1_batch_avx512(srtp_hmac_sha1_job *jobs, size_t count)
{
    lanes_batch(jobs, count, 9, 2, hash, outer, srtp_sha1_blocks_portable, srtp_hmac_sha1_batch_avx512_x8);
}

#endif
