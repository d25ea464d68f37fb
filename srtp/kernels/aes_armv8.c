/* AES in counter mode by the AES instructions of ARMv8, eight blocks in flight. */
#include "functions.h"

#ifdef SRTP_ARM64

#include <arm_neon.h>

#include "aes_schedule.h"

#define ARMV8 __attribute__((target("+crypto")))
#define ARMV8_INLINE static inline __attribute__((always_inline, target("+crypto")))

/* AESE on four equal columns: ShiftRows changes nothing there, and the zero key adds nothing. */
ARMV8_INLINE uint32_t sub_word(uint32_t word)
{
    const uint8x16_t column = vreinterpretq_u8_u32(vdupq_n_u32(word));
    return vgetq_lane_u32(vreinterpretq_u32_u8(vaeseq_u8(column, vdupq_n_u8(0))), 0);
}

ARMV8 void srtp_aes_expand_armv8(srtp_aes_key *key, const uint8_t *key_bytes, size_t key_length)
{
    uint32_t words[4 * (SRTP_AES_MAX_ROUNDS + 1)];
    key->rounds = srtp_aes_schedule(words, key_bytes, key_length, sub_word);
    memcpy(key->round_keys, words, SRTP_AES_BLOCK * (key->rounds + 1));
    srtp_wipe(words, sizeof words);
}

/* Encrypts `count` blocks, a constant, side by side. AESE adds its key before it substitutes. */
ARMV8_INLINE void encrypt(const srtp_aes_key *key, uint8x16_t *blocks, const unsigned count)
{
    const uint8_t *round_keys = key->round_keys;
    const uint32_t rounds = key->rounds;
    for (uint32_t round = 0; round + 1 < rounds; round++) {
        const uint8x16_t k = vld1q_u8(round_keys + SRTP_AES_BLOCK * round);
        for (unsigned i = 0; i < count; i++)
            blocks[i] = vaesmcq_u8(vaeseq_u8(blocks[i], k));
    }
    const uint8x16_t k = vld1q_u8(round_keys + SRTP_AES_BLOCK * (rounds - 1));
    const uint8x16_t last = vld1q_u8(round_keys + SRTP_AES_BLOCK * rounds);
    for (unsigned i = 0; i < count; i++)
        blocks[i] = veorq_u8(vaeseq_u8(blocks[i], k), last);
}

ARMV8 void srtp_aes_encrypt_block_armv8(const srtp_aes_key *key, const uint8_t in[16], uint8_t out[16])
{
    uint8x16_t block = vld1q_u8(in);
    encrypt(key, &block, 1);
    vst1q_u8(out, block);
}

/* `count` blocks of keystream from `counter` on, on the text; of the last block `rest` bytes if that is not 0. */
ARMV8_INLINE void xor_blocks(const srtp_aes_key *key, uint8x16_t iv, uint32_t counter, const uint8_t *in,
                             uint8_t *out, const unsigned count, size_t rest)
{
    uint8x16_t stream[8];

    for (unsigned i = 0; i < count; i++) {
        const uint32_t word = __builtin_bswap32(counter + i);
        stream[i] = vreinterpretq_u8_u32(vsetq_lane_u32(word, vreinterpretq_u32_u8(iv), 3));
    }
    encrypt(key, stream, count);
    const unsigned whole = rest > 0 ? count - 1 : count;
    for (unsigned i = 0; i < whole; i++)
        vst1q_u8(out + SRTP_AES_BLOCK * i, veorq_u8(vld1q_u8(in + SRTP_AES_BLOCK * i), stream[i]));
    if (rest > 0) {
        uint8_t block[SRTP_AES_BLOCK] = {0};
        srtp_copy_short(block, in + SRTP_AES_BLOCK * whole, rest);
        vst1q_u8(block, veorq_u8(vld1q_u8(block), stream[whole]));
        srtp_copy_short(out + SRTP_AES_BLOCK * whole, block, rest);
    }
}

ARMV8 void srtp_aes_ctr_armv8(const srtp_aes_key *key, const uint8_t iv_bytes[16], const uint8_t *in, uint8_t *out,
                              size_t length)
{
    const uint8x16_t iv = vld1q_u8(iv_bytes);
    uint32_t counter = srtp_load_be32(iv_bytes + 12);

    for (; length >= 8 * SRTP_AES_BLOCK; length -= 8 * SRTP_AES_BLOCK) {
        xor_blocks(key, iv, counter, in, out, 8, 0);
        counter += 8;
        in += 8 * SRTP_AES_BLOCK;
        out += 8 * SRTP_AES_BLOCK;
    }
    const size_t rest = length % SRTP_AES_BLOCK;
    switch ((length + SRTP_AES_BLOCK - 1) / SRTP_AES_BLOCK) {
    case 1: xor_blocks(key, iv, counter, in, out, 1, rest); break;
    case 2: xor_blocks(key, iv, counter, in, out, 2, rest); break;
    case 3: xor_blocks(key, iv, counter, in, out, 3, rest); break;
    case 4: xor_blocks(key, iv, counter, in, out, 4, rest); break;
    case 5: xor_blocks(key, iv, counter, in, out, 5, rest); break;
    case 6: xor_blocks(key, iv, counter, in, out, 6, rest); break;
    case 7: xor_blocks(key, iv, counter, in, out, 7, rest); break;
    case 8: xor_blocks(key, iv, counter, in, out, 8, rest); break;
    default: break;
    }
}

void srtp_aes_ctr_batch_armv8(const srtp_aes_ctr_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        srtp_aes_ctr_armv8(jobs[i].key, jobs[i].iv, jobs[i].in, jobs[i].out, jobs[i].length);
}

#endif
