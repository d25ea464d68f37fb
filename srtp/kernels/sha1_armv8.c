/* SHA-1 and HMAC-SHA1 by the SHA-1 instructions of ARMv8. */
#include "functions.h"

#ifdef SRTP_ARM64

#include <arm_neon.h>

#include "hmac_blocks.h"

#define ARMV8 __attribute__((target("+crypto")))
#define ARMV8_INLINE static inline __attribute__((always_inline, target("+crypto")))

typedef struct {
    uint32x4_t abcd;
    uint32_t e;
} sha1_state;

ARMV8_INLINE sha1_state load_state(const uint32_t state[5])
{
    const sha1_state s = {vld1q_u32(state), state[4]};
    return s;
}

ARMV8_INLINE uint32x4_t load_words(const uint8_t *data)
{
    return vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data)));
}

/* Four rounds by `instruction`; e for the four after them is a of now, rotated. */
#define FOUR_ROUNDS(instruction, constant, words)                              \
    do {                                                                       \
        const uint32_t next_e = vsha1h_u32(vgetq_lane_u32(s.abcd, 0));         \
        s.abcd = instruction(s.abcd, s.e, vaddq_u32(words, vdupq_n_u32(constant))); \
        s.e = next_e;                                                          \
    } while (0)
#define EXTEND(m0, m1, m2, m3) m0 = vsha1su1q_u32(vsha1su0q_u32(m0, m1, m2), m3)
#define EXTEND_FOUR(instruction, constant, m0, m1, m2, m3) \
    EXTEND(m0, m1, m2, m3);                                \
    FOUR_ROUNDS(instruction, constant, m0)

ARMV8_INLINE sha1_state block(sha1_state s, uint32x4_t m0, uint32x4_t m1, uint32x4_t m2, uint32x4_t m3)
{
    const sha1_state before = s;

    FOUR_ROUNDS(vsha1cq_u32, 0x5A827999u, m0);
    FOUR_ROUNDS(vsha1cq_u32, 0x5A827999u, m1);
    FOUR_ROUNDS(vsha1cq_u32, 0x5A827999u, m2);
    FOUR_ROUNDS(vsha1cq_u32, 0x5A827999u, m3);
    EXTEND_FOUR(vsha1cq_u32, 0x5A827999u, m0, m1, m2, m3);
    EXTEND_FOUR(vsha1pq_u32, 0x6ED9EBA1u, m1, m2, m3, m0);
    EXTEND_FOUR(vsha1pq_u32, 0x6ED9EBA1u, m2, m3, m0, m1);
    EXTEND_FOUR(vsha1pq_u32, 0x6ED9EBA1u, m3, m0, m1, m2);
    EXTEND_FOUR(vsha1pq_u32, 0x6ED9EBA1u, m0, m1, m2, m3);
    EXTEND_FOUR(vsha1pq_u32, 0x6ED9EBA1u, m1, m2, m3, m0);
    EXTEND_FOUR(vsha1mq_u32, 0x8F1BBCDCu, m2, m3, m0, m1);
    EXTEND_FOUR(vsha1mq_u32, 0x8F1BBCDCu, m3, m0, m1, m2);
    EXTEND_FOUR(vsha1mq_u32, 0x8F1BBCDCu, m0, m1, m2, m3);
    EXTEND_FOUR(vsha1mq_u32, 0x8F1BBCDCu, m1, m2, m3, m0);
    EXTEND_FOUR(vsha1mq_u32, 0x8F1BBCDCu, m2, m3, m0, m1);
    EXTEND_FOUR(vsha1pq_u32, 0xCA62C1D6u, m3, m0, m1, m2);
    EXTEND_FOUR(vsha1pq_u32, 0xCA62C1D6u, m0, m1, m2, m3);
    EXTEND_FOUR(vsha1pq_u32, 0xCA62C1D6u, m1, m2, m3, m0);
    EXTEND_FOUR(vsha1pq_u32, 0xCA62C1D6u, m2, m3, m0, m1);
    EXTEND_FOUR(vsha1pq_u32, 0xCA62C1D6u, m3, m0, m1, m2);
    s.abcd = vaddq_u32(s.abcd, before.abcd);
    s.e += before.e;
    return s;
}

ARMV8_INLINE sha1_state block_at(sha1_state s, const uint8_t *data)
{
    return block(s, load_words(data), load_words(data + 16), load_words(data + 32), load_words(data + 48));
}

ARMV8 void srtp_sha1_blocks_armv8(uint32_t state[5], const uint8_t *data, size_t block_count)
{
    sha1_state s = load_state(state);
    for (; block_count > 0; block_count--, data += SRTP_SHA1_BLOCK)
        s = block_at(s, data);
    vst1q_u32(state, s.abcd);
    state[4] = s.e;
}

ARMV8 void srtp_hmac_sha1_armv8(const srtp_hmac_sha1_key *key, const uint8_t *data, size_t length,
                                const uint8_t *tail, size_t tail_length, uint8_t tag[SRTP_SHA1_DIGEST])
{
    uint8_t last[2 * SRTP_SHA1_BLOCK];

    if (tail_length > SRTP_HMAC_SHORT_TAIL) {
        srtp_hmac_sha1_over(srtp_sha1_blocks_armv8, key, data, length, tail, tail_length, tag);
        return;
    }
    const size_t last_blocks = srtp_hmac_last_blocks(last, data, length, tail, tail_length);
    sha1_state s = load_state(key->inner);
    for (size_t left = length / SRTP_SHA1_BLOCK; left > 0; left--, data += SRTP_SHA1_BLOCK)
        s = block_at(s, data);
    s = block_at(s, last);
    if (last_blocks == 2)
        s = block_at(s, last + SRTP_SHA1_BLOCK);
    /* The inner digest as the padded message of the outer hash, without leaving the registers. */
    const uint32x4_t e_and_end = {s.e, 0x80000000u, 0, 0}, bits = {0, 0, 0, SRTP_HMAC_OUTER_BITS};
    s = block(load_state(key->outer), s.abcd, e_and_end, vdupq_n_u32(0), bits);
    vst1q_u8(tag, vrev32q_u8(vreinterpretq_u8_u32(s.abcd)));
    srtp_store_be32(tag + 16, s.e);
}

void srtp_hmac_sha1_batch_armv8(srtp_hmac_sha1_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        srtp_hmac_sha1_armv8(jobs[i].key, jobs[i].data, jobs[i].length, jobs[i].tail, jobs[i].tail_length,
                             jobs[i].tag);
}

#endif
