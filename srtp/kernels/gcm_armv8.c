/* AES-GCM by the AES and PMULL instructions of ARMv8: GHASH of sixteen blocks to one reduction. */
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

/* A GHASH in the making: sums of up to sixteen products, each reduced once. */
typedef struct {
    const srtp_gcm_key *key;
    gcm_product sum;
    uint64x2_t y;    /* of the sums before, for the first block of this one */
    size_t left;     /* blocks to come in the whole message ... */
    size_t in_sum;   /* ... and in this sum */
} gcm_hash;

ARMV8_INLINE gcm_hash hash_begin(const srtp_gcm_key *key, size_t blocks)
{
    const size_t in_sum = blocks < SRTP_GCM_POWERS ? blocks : SRTP_GCM_POWERS;
    const gcm_hash h = {key, no_product(), vdupq_n_u64(0), blocks, in_sum};
    return h;
}

/* Moves on by the blocks of this sum that are in it now. */
ARMV8_INLINE void hash_advance(gcm_hash *h, size_t blocks)
{
    h->left -= blocks;
    h->in_sum -= blocks;
    if (h->in_sum == 0) {
        const uint64x2_t y = reduce(h->sum);
        *h = hash_begin(h->key, h->left);
        h->y = y;
    }
}

ARMV8_INLINE void hash_block(gcm_hash *h, uint64x2_t block)
{
    multiply(&h->sum, veorq_u64(block, h->y), power(h->key, h->in_sum));
    h->y = vdupq_n_u64(0);
    hash_advance(h, 1);
}

ARMV8_INLINE void hash_bytes(gcm_hash *h, const uint8_t *data, size_t length)
{
    for (size_t whole = length / SRTP_AES_BLOCK, count; whole > 0; whole -= count) {
        count = whole < h->in_sum ? whole : h->in_sum;
        multiply(&h->sum, veorq_u64(block_at(data), h->y), power(h->key, h->in_sum));
        for (size_t i = 1; i < count; i++)
            multiply(&h->sum, block_at(data + SRTP_AES_BLOCK * i), power(h->key, h->in_sum - i));
        h->y = vdupq_n_u64(0);
        data += SRTP_AES_BLOCK * count;
        hash_advance(h, count);
    }
    length %= SRTP_AES_BLOCK;
    if (length > 0) {
        uint8_t block[SRTP_AES_BLOCK] = {0};
        srtp_copy_short(block, data, length);
        hash_block(h, block_at(block));
    }
}

ARMV8 static void ghash(const srtp_gcm_key *key, const uint8_t *aad, size_t aad_length, const uint8_t *ciphertext,
                        size_t length, uint8_t hash[16])
{
    gcm_hash h = hash_begin(key, srtp_gcm_blocks(aad_length) + srtp_gcm_blocks(length) + 1);
    uint8_t lengths[16];

    hash_bytes(&h, aad, aad_length);
    hash_bytes(&h, ciphertext, length);
    srtp_gcm_lengths(lengths, aad_length, length);
    hash_block(&h, block_at(lengths));
    vst1q_u8(hash, vrev64q_u8(vreinterpretq_u8_u64(vextq_u64(h.y, h.y, 1))));
}

static const srtp_gcm_functions FUNCTIONS = {srtp_aes_ctr_armv8, ghash};

#define SEAL(...) srtp_gcm_seal_by(&FUNCTIONS, __VA_ARGS__)
#define OPEN(...) srtp_gcm_open_by(&FUNCTIONS, __VA_ARGS__)
SRTP_GCM_DEFINE(armv8, ARMV8, SEAL, OPEN)

#endif
