/* AES-GCM in plain C: GHASH by integer multiplications with holes between the bits, so that no carry reaches a bit
 * that counts, and no table is indexed by a secret. Needs a multiplier that takes the same time for all operands, as
 * 64-bit CPUs have. */
#include "gcm_passes.h"

/* One bit in four. */
#define COMB 0x1111111111111111u

/* The low 64 bits of the carry-less product. */
static uint64_t multiply_low(uint64_t x, uint64_t y)
{
    uint64_t xs[4], ys[4], product = 0;
    for (unsigned i = 0; i < 4; i++) {
        xs[i] = x & COMB << i;
        ys[i] = y & COMB << i;
    }
    for (unsigned i = 0; i < 4; i++) {
        uint64_t sum = 0;
        for (unsigned j = 0; j < 4; j++)
            sum ^= xs[j] * ys[(i - j) & 3];
        product |= sum & COMB << i;
    }
    return product;
}

static inline uint64_t swap_bits(uint64_t x, uint64_t mask, unsigned shift)
{
    return (x & mask) << shift | (x >> shift & mask);
}

static uint64_t reverse_bits(uint64_t x)
{
    x = swap_bits(x, 0x5555555555555555u, 1);
    x = swap_bits(x, 0x3333333333333333u, 2);
    x = swap_bits(x, 0x0F0F0F0F0F0F0F0Fu, 4);
    return __builtin_bswap64(x);
}

/* The high 64 bits of the 127 of the carry-less product: the low ones of the reversed operands. */
static uint64_t multiply_high(uint64_t x, uint64_t y)
{
    return reverse_bits(multiply_low(reverse_bits(x), reverse_bits(y))) >> 1;
}

/* y = y times H in GCM's field, where the first bit of a block is the coefficient of x^0 (SP 800-38D 6.3): in big
 * endian words, the product is reversed and one bit short. */
static void multiply(uint64_t y[2], const uint64_t h[2])
{
    /* Karatsuba: the middle from one product of sums. */
    const uint64_t sum_y = y[0] ^ y[1], sum_h = h[0] ^ h[1];
    const uint64_t low0 = multiply_low(y[1], h[1]), high0 = multiply_high(y[1], h[1]);
    const uint64_t low1 = multiply_low(y[0], h[0]), high1 = multiply_high(y[0], h[0]);
    const uint64_t middle_low = multiply_low(sum_y, sum_h) ^ low0 ^ low1;
    const uint64_t middle_high = multiply_high(sum_y, sum_h) ^ high0 ^ high1;

    uint64_t v0 = low0, v1 = high0 ^ middle_low, v2 = low1 ^ middle_high, v3 = high1;
    v3 = v3 << 1 | v2 >> 63;
    v2 = v2 << 1 | v1 >> 63;
    v1 = v1 << 1 | v0 >> 63;
    v0 <<= 1;
    /* The words below fold up by x^128 = x^7 + x^2 + x + 1. */
    v2 ^= v0 ^ v0 >> 1 ^ v0 >> 2 ^ v0 >> 7;
    v1 ^= v0 << 63 ^ v0 << 62 ^ v0 << 57;
    v3 ^= v1 ^ v1 >> 1 ^ v1 >> 2 ^ v1 >> 7;
    v2 ^= v1 << 63 ^ v1 << 62 ^ v1 << 57;
    y[0] = v3;
    y[1] = v2;
}

static void absorb(uint64_t y[2], const uint64_t h[2], const uint8_t *data, size_t length)
{
    while (length > 0) {
        uint8_t block[SRTP_AES_BLOCK] = {0};
        const size_t count = length < SRTP_AES_BLOCK ? length : SRTP_AES_BLOCK;
        memcpy(block, data, count);
        y[0] ^= srtp_load_be64(block);
        y[1] ^= srtp_load_be64(block + 8);
        multiply(y, h);
        data += count;
        length -= count;
    }
}

static void ghash(const srtp_gcm_key *key, const uint8_t *aad, size_t aad_length, const uint8_t *ciphertext,
                  size_t length, uint8_t hash[16])
{
    const uint64_t h[2] = {srtp_load_be64(key->powers), srtp_load_be64(key->powers + 8)};
    uint64_t y[2] = {0, 0};
    uint8_t lengths[16];

    absorb(y, h, aad, aad_length);
    absorb(y, h, ciphertext, length);
    srtp_gcm_lengths(lengths, aad_length, length);
    absorb(y, h, lengths, sizeof lengths);
    srtp_store_be64(hash, y[0]);
    srtp_store_be64(hash + 8, y[1]);
}

void srtp_gcm_expand_portable(srtp_gcm_key *key, const uint8_t *key_bytes, size_t key_length)
{
    memset(key->powers, 0, sizeof key->powers);
    srtp_aes_expand_portable(&key->aes, key_bytes, key_length);
    srtp_aes_encrypt_block_portable(&key->aes, key->powers, key->powers);
}

static const srtp_gcm_functions FUNCTIONS = {srtp_aes_ctr_portable, ghash};

#define SEAL(...) srtp_gcm_seal_by(&FUNCTIONS, __VA_ARGS__)
#define OPEN(...) srtp_gcm_open_by(&FUNCTIONS, __VA_ARGS__)
SRTP_GCM_DEFINE(portable, , SEAL, OPEN)
