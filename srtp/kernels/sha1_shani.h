/* SHA-1 by the SHA extensions of x86: the state and the eighty rounds, for the kernels made of them.
 *
 * `abcd` holds a in its highest word; `e` holds e there, and zeros. A message block is four vectors with the
 * earliest word highest. */
#ifndef SRTP_SHA1_SHANI_H
#define SRTP_SHA1_SHANI_H

#include <immintrin.h>

#include "hmac_blocks.h"

#define SRTP_SHANI __attribute__((target("sha,sse4.1,ssse3")))
#define SRTP_SHANI_INLINE static inline __attribute__((always_inline, target("sha,sse4.1,ssse3")))

typedef struct {
    __m128i abcd;
    __m128i e;
} srtp_shani_state;

SRTP_SHANI_INLINE srtp_shani_state srtp_shani_load(const uint32_t state[5])
{
    srtp_shani_state s;
    s.abcd = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0x1B);
    s.e = _mm_slli_si128(_mm_cvtsi32_si128((int)state[4]), 12);
    return s;
}

/* The words of the digest as bytes, big endian. */
SRTP_SHANI_INLINE void srtp_shani_digest(srtp_shani_state s, uint8_t digest[SRTP_SHA1_DIGEST])
{
    const __m128i reverse = _mm_set_epi64x(0x0001020304050607, 0x08090A0B0C0D0E0F);
    _mm_storeu_si128((__m128i *)digest, _mm_shuffle_epi8(s.abcd, reverse));
    srtp_store_be32(digest + 16, (uint32_t)_mm_extract_epi32(s.e, 3));
}

SRTP_SHANI_INLINE __m128i srtp_shani_words(const uint8_t *data)
{
    const __m128i reverse = _mm_set_epi64x(0x0001020304050607, 0x08090A0B0C0D0E0F);
    return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)data), reverse);
}

/* Four rounds with the function and constant of number f (0..3); `e` is abcd as it was four rounds ago. */
#define SRTP_SHANI_FOUR(s, words, f)                                             \
    do {                                                                         \
        const __m128i with_words = _mm_sha1nexte_epu32((s).e, (words));          \
        (s).e = (s).abcd;                                                        \
        (s).abcd = _mm_sha1rnds4_epu32((s).abcd, with_words, (f));               \
    } while (0)

/* The next four words of the schedule in place of the oldest. */
#define SRTP_SHANI_EXTEND(m0, m1, m2, m3) \
    ((m0) = _mm_sha1msg2_epu32(_mm_xor_si128(_mm_sha1msg1_epu32((m0), (m1)), (m2)), (m3)))

SRTP_SHANI_INLINE srtp_shani_state srtp_shani_block(srtp_shani_state s, __m128i m0, __m128i m1, __m128i m2,
                                                    __m128i m3)
{
    const srtp_shani_state before = s;
    const __m128i first = _mm_add_epi32(s.e, m0);

    s.e = s.abcd;
    s.abcd = _mm_sha1rnds4_epu32(s.abcd, first, 0);
    SRTP_SHANI_FOUR(s, m1, 0);
    SRTP_SHANI_FOUR(s, m2, 0);
    SRTP_SHANI_FOUR(s, m3, 0);
#define EXTEND_FOUR(a, b, c, d, f)        \
    SRTP_SHANI_EXTEND(a, b, c, d);        \
    SRTP_SHANI_FOUR(s, a, f)
    EXTEND_FOUR(m0, m1, m2, m3, 0);
    EXTEND_FOUR(m1, m2, m3, m0, 1);
    EXTEND_FOUR(m2, m3, m0, m1, 1);
    EXTEND_FOUR(m3, m0, m1, m2, 1);
    EXTEND_FOUR(m0, m1, m2, m3, 1);
    EXTEND_FOUR(m1, m2, m3, m0, 1);
    EXTEND_FOUR(m2, m3, m0, m1, 2);
    EXTEND_FOUR(m3, m0, m1, m2, 2);
    EXTEND_FOUR(m0, m1, m2, m3, 2);
    EXTEND_FOUR(m1, m2, m3, m0, 2);
    EXTEND_FOUR(m2, m3, m0, m1, 2);
    EXTEND_FOUR(m3, m0, m1, m2, 3);
    EXTEND_FOUR(m0, m1, m2, m3, 3);
    EXTEND_FOUR(m1, m2, m3, m0, 3);
    EXTEND_FOUR(m2, m3, m0, m1, 3);
    EXTEND_FOUR(m3, m0, m1, m2, 3);
#undef EXTEND_FOUR
    s.abcd = _mm_add_epi32(s.abcd, before.abcd);
    s.e = _mm_sha1nexte_epu32(s.e, before.e);
    return s;
}

SRTP_SHANI_INLINE srtp_shani_state srtp_shani_block_at(srtp_shani_state s, const uint8_t *data)
{
    return srtp_shani_block(s, srtp_shani_words(data), srtp_shani_words(data + 16), srtp_shani_words(data + 32),
                            srtp_shani_words(data + 48));
}

/* The inner digest as the padded message of the outer hash, without leaving the registers. */
SRTP_SHANI_INLINE srtp_shani_state srtp_shani_outer(srtp_shani_state inner, const uint32_t outer[5])
{
    const __m128i e_and_end = _mm_or_si128(inner.e, _mm_set_epi32(0, INT32_MIN, 0, 0));
    return srtp_shani_block(srtp_shani_load(outer), inner.abcd, e_and_end, _mm_setzero_si128(),
                            _mm_set_epi32(0, 0, 0, SRTP_HMAC_OUTER_BITS));
}

#endif
