/* AES-GCM by the AES and PMULL instructions of ARMv8: GHASH of eight blocks to one reduction. */
#include "functions.h"

#ifdef SRTP_ARM64

#include <arm_neon.h>

#include "gcm_passes.h"
#include "gcm_powers.h"

#define ARMV8 __attribute__((target("+crypto")))
#define ARMV8_INLINE static inline __attribute__((always_inline, target("+crypto")))

/* A sum of products of 255 bits, in three parts that overlap: to be reduced once. */
typedef struct {
    uint64x2_t low, middle, high;
} gcm_product;

ARMV8_INLINE uint64x2_t multiply_words(uint64_t x, uint64_t y)
{
    return vreinterpretq_u64_p128(vmull_p64((poly64_t)x, (poly64_t)y));
}

/* sum += x y */
ARMV8_INLINE void multiply(gcm_product *sum, uint64x2_t x, uint64x2_t y)
{
    const uint64_t x0 = vgetq_lane_u64(x, 0), x1 = vgetq_lane_u64(x, 1);
    const uint64_t y0 = vgetq_lane_u64(y, 0), y1 = vgetq_lane_u64(y, 1);
    sum->low = veorq_u64(sum->low, multiply_words(x0, y0));
    sum->high = veorq_u64(sum->high, multiply_words(x1, y1));
    sum->middle = veorq_u64(sum->middle, veorq_u64(multiply_words(x0, y1), multiply_words(x1, y0)));
}

ARMV8_INLINE gcm_product no_product(void)
{
    const gcm_product none = {vdupq_n_u64(0), vdupq_n_u64(0), vdupq_n_u64(0)};
    return none;
}

/* high + low x^-128: two folds of 64 bits each, by the high word of the modulus. */
ARMV8_INLINE uint64x2_t reduce(gcm_product product)
{
    const uint64x2_t zero = vdupq_n_u64(0);
    uint64x2_t low = veorq_u64(product.low, vextq_u64(zero, product.middle, 1));
    const uint64x2_t high = veorq_u64(product.high, vextq_u64(product.middle, zero, 1));
    for (unsigned i = 0; i < 2; i++)
        low = veorq_u64(vextq_u64(low, low, 1), multiply_words(vgetq_lane_u64(low, 0), SRTP_POLYVAL_HIGH));
    return veorq_u64(high, low);
}

/* A block with its bytes reversed. */
ARMV8_INLINE uint64x2_t block_at(const uint8_t *data)
{
    const uint64x2_t words = vreinterpretq_u64_u8(vrev64q_u8(vld1q_u8(data)));
    return vextq_u64(words, words, 1);
}

ARMV8_INLINE uint64x2_t power(const srtp_gcm_key *key, size_t n)
{
    return vreinterpretq_u64_u8(vld1q_u8(srtp_gcm_power(key, n)));
}

ARMV8 void srtp_gcm_expand_armv8(srtp_gcm_key *key, const uint8_t *key_bytes, size_t key_length)
{
    uint8_t h[16] = {0};
    uint64_t words[2];

    srtp_aes_expand_armv8(&key->aes, key_bytes, key_length);
    srtp_aes_encrypt_block_armv8(&key->aes, h, h);
    srtp_gcm_first_power(words, h);
    const uint64x2_t first = vld1q_u64(words);
    uint64x2_t next = first;
    for (size_t n = 1; n <= SRTP_GCM_POWERS; n++) {
        vst1q_u8(key->powers + 16 * (SRTP_GCM_POWERS - n), vreinterpretq_u8_u64(next));
        gcm_product product = no_product();
        multiply(&product, next, first);
        next = reduce(product);
    }
    srtp_wipe(h, sizeof h);
    srtp_wipe(words, sizeof words);
}

ARMV8 static void ghash(const srtp_gcm_key *key, uint8_t y_bytes[16], const uint8_t *data, size_t length)
{
    uint64x2_t y = block_at(y_bytes);

    while (length >= SRTP_AES_BLOCK) {
        const size_t whole = length / SRTP_AES_BLOCK, blocks = whole < 8 ? whole : 8;
        gcm_product product = no_product();
        multiply(&product, veorq_u64(y, block_at(data)), power(key, blocks));
        for (size_t i = 1; i < blocks; i++)
            multiply(&product, block_at(data + SRTP_AES_BLOCK * i), power(key, blocks - i));
        y = reduce(product);
        data += SRTP_AES_BLOCK * blocks;
        length -= SRTP_AES_BLOCK * blocks;
    }
    if (length > 0) {
        uint8_t block[SRTP_AES_BLOCK] = {0};
        srtp_copy_short(block, data, length);
        gcm_product product = no_product();
        multiply(&product, veorq_u64(y, block_at(block)), power(key, 1));
        y = reduce(product);
    }
    vst1q_u8(y_bytes, vrev64q_u8(vreinterpretq_u8_u64(vextq_u64(y, y, 1))));
}

static const srtp_gcm_functions FUNCTIONS = {srtp_aes_encrypt_block_armv8, srtp_aes_ctr_armv8, ghash};

#define SEAL(...) srtp_gcm_seal_by(&FUNCTIONS, __VA_ARGS__)
#define OPEN(...) srtp_gcm_open_by(&FUNCTIONS, __VA_ARGS__)
SRTP_GCM_DEFINE(armv8, ARMV8, SEAL, OPEN)

#endif
