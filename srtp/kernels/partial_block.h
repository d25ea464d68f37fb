/* Blocks of fewer than 16 bytes to and from registers, without a way through memory that the next load would have to
 * wait for. For little-endian CPUs. */
#ifndef SRTP_PARTIAL_BLOCK_H
#define SRTP_PARTIAL_BLOCK_H

#include "functions.h"

/* 1 to 15 bytes, then zeros. Loads that overlap stay within the bytes. */
SRTP_INLINE void srtp_partial_load(uint64_t words[2], const uint8_t *data, size_t length)
{
    words[1] = 0;
    if (length >= 8) {
        memcpy(words, data, 8);
        memcpy(words + 1, data + length - 8, 8);
        /* In two steps, as no shift is by the whole width. */
        words[1] = words[1] >> 8 * (15 - length) >> 8;
    } else if (length >= 4) {
        words[0] = srtp_load_le32(data) | (uint64_t)srtp_load_le32(data + length - 4) << 8 * (length - 4);
    } else {
        words[0] = data[0] | (uint64_t)data[length / 2] << 8 * (length / 2)
            | (uint64_t)data[length - 1] << 8 * (length - 1);
    }
}

/* The first 1 to 15 bytes of a block. */
SRTP_INLINE void srtp_partial_store(uint8_t *data, const uint64_t words[2], size_t length)
{
    if (length >= 8) {
        const uint64_t last = words[0] >> 8 * (length - 8) | words[1] << 8 * (15 - length) << 8;
        memcpy(data, words, 8);
        memcpy(data + length - 8, &last, 8);
    } else if (length >= 4) {
        srtp_store_le32(data, (uint32_t)words[0]);
        srtp_store_le32(data + length - 4, (uint32_t)(words[0] >> 8 * (length - 4)));
    } else {
        data[0] = (uint8_t)words[0];
        data[length / 2] = (uint8_t)(words[0] >> 8 * (length / 2));
        data[length - 1] = (uint8_t)(words[0] >> 8 * (length - 1));
    }
}

#ifdef SRTP_X86

#include <immintrin.h>

static inline __attribute__((always_inline, target("sse4.1"))) __m128i srtp_partial_block(const uint8_t *data,
                                                                                          size_t length)
{
    uint64_t words[2];
    srtp_partial_load(words, data, length);
    return _mm_set_epi64x((long long)words[1], (long long)words[0]);
}

/* out = in ^ stream, 1 to 15 bytes. */
static inline __attribute__((always_inline, target("sse4.1"))) void srtp_partial_xor(const uint8_t *in, uint8_t *out,
                                                                                     size_t length, __m128i stream)
{
    uint64_t words[2];
    srtp_partial_load(words, in, length);
    words[0] ^= (uint64_t)_mm_cvtsi128_si64(stream);
    words[1] ^= (uint64_t)_mm_extract_epi64(stream, 1);
    srtp_partial_store(out, words, length);
}

#endif

#endif
