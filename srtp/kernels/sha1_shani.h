/* SHA-1 by the SHA extensions of x86: the state and the eighty rounds of one or more streams side by side.
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

typedef struct {
    __m128i m[4];
} srtp_shani_words;

SRTP_SHANI_INLINE __m128i srtp_shani_reverse(__m128i bytes)
{
    return _mm_shuffle_epi8(bytes, _mm_set_epi64x(0x0001020304050607, 0x08090A0B0C0D0E0F));
}

SRTP_SHANI_INLINE srtp_shani_state srtp_shani_load(const uint32_t state[5])
{
    srtp_shani_state s;
    s.abcd = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0x1B);
    s.e = _mm_slli_si128(_mm_cvtsi32_si128((int)state[4]), 12);
    return s;
}

SRTP_SHANI_INLINE void srtp_shani_store(srtp_shani_state s, uint32_t state[5])
{
    _mm_storeu_si128((__m128i *)state, _mm_shuffle_epi32(s.abcd, 0x1B));
    state[4] = (uint32_t)_mm_extract_epi32(s.e, 3);
}

/* The words of the digest as bytes, big endian. */
SRTP_SHANI_INLINE void srtp_shani_digest(srtp_shani_state s, uint8_t digest[SRTP_SHA1_DIGEST])
{
    _mm_storeu_si128((__m128i *)digest, srtp_shani_reverse(s.abcd));
    srtp_store_be32(digest + 16, (uint32_t)_mm_extract_epi32(s.e, 3));
}

SRTP_SHANI_INLINE srtp_shani_words srtp_shani_read(const uint8_t *data)
{
    srtp_shani_words w;
    for (unsigned i = 0; i < 4; i++)
        w.m[i] = srtp_shani_reverse(_mm_loadu_si128((const __m128i *)(data + 16 * i)));
    return w;
}

/* The inner digest as the padded message of the outer hash, without leaving the registers. */
SRTP_SHANI_INLINE srtp_shani_words srtp_shani_outer_message(srtp_shani_state inner)
{
    const srtp_shani_words w = {{inner.abcd, _mm_or_si128(inner.e, _mm_set_epi32(0, INT32_MIN, 0, 0)),
                                 _mm_setzero_si128(), _mm_set_epi32(0, 0, 0, SRTP_HMAC_OUTER_BITS)}};
    return w;
}

#define SRTP_EACH_STREAM _Pragma("GCC unroll 4") for (unsigned i = 0; i < streams; i++)

/* Four rounds with function f (0..3) on the words of vector v. `e` is abcd as it was four rounds ago. */
#define SRTP_SHANI_FOUR(v, f)                                                            \
    SRTP_EACH_STREAM {                                                                   \
        const __m128i e_and_words = _mm_sha1nexte_epu32(s[i].e, w[i].m[v]);              \
        s[i].e = s[i].abcd;                                                              \
        s[i].abcd = _mm_sha1rnds4_epu32(s[i].abcd, e_and_words, f);                      \
    }

/* The same after the next four words of the schedule took the place of the oldest, those of vector v. */
#define SRTP_SHANI_NEXT_FOUR(v, f)                                                       \
    SRTP_EACH_STREAM {                                                                   \
        __m128i *m = w[i].m;                                                             \
        const __m128i sum = _mm_xor_si128(_mm_sha1msg1_epu32(m[v], m[(v + 1) & 3]), m[(v + 2) & 3]); \
        m[v] = _mm_sha1msg2_epu32(sum, m[(v + 3) & 3]);                                  \
    }                                                                                    \
    SRTP_SHANI_FOUR(v, f)

/* One block of each of `streams` (a constant) independent messages; consumes the words. */
SRTP_SHANI_INLINE void srtp_shani_rounds(srtp_shani_state *s, srtp_shani_words *w, const unsigned streams)
{
    srtp_shani_state before[4];

    SRTP_EACH_STREAM {
        before[i] = s[i];
        const __m128i e_and_words = _mm_add_epi32(s[i].e, w[i].m[0]);
        s[i].e = s[i].abcd;
        s[i].abcd = _mm_sha1rnds4_epu32(s[i].abcd, e_and_words, 0);
    }
    SRTP_SHANI_FOUR(1, 0)
    SRTP_SHANI_FOUR(2, 0)
    SRTP_SHANI_FOUR(3, 0)
    SRTP_SHANI_NEXT_FOUR(0, 0)
    SRTP_SHANI_NEXT_FOUR(1, 1)
    SRTP_SHANI_NEXT_FOUR(2, 1)
    SRTP_SHANI_NEXT_FOUR(3, 1)
    SRTP_SHANI_NEXT_FOUR(0, 1)
    SRTP_SHANI_NEXT_FOUR(1, 1)
    SRTP_SHANI_NEXT_FOUR(2, 2)
    SRTP_SHANI_NEXT_FOUR(3, 2)
    SRTP_SHANI_NEXT_FOUR(0, 2)
    SRTP_SHANI_NEXT_FOUR(1, 2)
    SRTP_SHANI_NEXT_FOUR(2, 2)
    SRTP_SHANI_NEXT_FOUR(3, 3)
    SRTP_SHANI_NEXT_FOUR(0, 3)
    SRTP_SHANI_NEXT_FOUR(1, 3)
    SRTP_SHANI_NEXT_FOUR(2, 3)
    SRTP_SHANI_NEXT_FOUR(3, 3)
    SRTP_EACH_STREAM {
        s[i].abcd = _mm_add_epi32(s[i].abcd, before[i].abcd);
        s[i].e = _mm_sha1nexte_epu32(s[i].e, before[i].e);
    }
}

SRTP_SHANI_INLINE void srtp_shani_block(srtp_shani_state *s, const uint8_t *data)
{
    srtp_shani_words w = srtp_shani_read(data);
    srtp_shani_rounds(s, &w, 1);
}

#endif
