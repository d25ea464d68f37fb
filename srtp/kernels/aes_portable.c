/* AES (FIPS 197) by bit slicing, for CPUs without AES instructions: no table, no branch and no index depends on
 * a secret.
 *
 * Four blocks go through together. Plane b (of 8 words) holds bit b of all 64 bytes; the byte of row r, column c,
 * block k sits at bit 16 r + 4 c + k, so that ShiftRows rotates 16-bit lanes and MixColumns rotates words. */
#include "aes_schedule.h"

#define BLOCKS 4

/* Exchanges, between words a and b, the bits of a under mask << shift with those of b under mask. */
static inline void exchange(uint64_t *a, uint64_t *b, uint64_t mask, unsigned shift)
{
    uint64_t t = ((*a >> shift) ^ *b) & mask;
    *b ^= t;
    *a ^= t << shift;
}

/* Transposes the 8x8 bit matrix that each byte position makes across the eight words; its own inverse. */
static void transpose(uint64_t q[8])
{
    for (unsigned i = 0; i < 8; i += 2)
        exchange(&q[i], &q[i + 1], 0x5555555555555555u, 1);
    for (unsigned i = 0; i < 8; i += (i & 1) ? 3 : 1)
        exchange(&q[i], &q[i + 2], 0x3333333333333333u, 2);
    for (unsigned i = 0; i < 4; i++)
        exchange(&q[i], &q[i + 4], 0x0F0F0F0F0F0F0F0Fu, 4);
}

/* Bytes 0..3 of x to the even bytes of a word, and back. */
static inline uint64_t spread(uint64_t x)
{
    x = (x | x << 16) & 0x0000FFFF0000FFFFu;
    return (x | x << 8) & 0x00FF00FF00FF00FFu;
}

static inline uint32_t gather(uint64_t x)
{
    x &= 0x00FF00FF00FF00FFu;
    x = (x | x >> 8) & 0x0000FFFF0000FFFFu;
    return (uint32_t)(x | x >> 16);
}

static void slice(uint64_t q[8], const uint8_t *in)
{
    for (unsigned k = 0; k < BLOCKS; k++, in += SRTP_AES_BLOCK) {
        q[k] = spread(srtp_load_le32(in)) | spread(srtp_load_le32(in + 8)) << 8;
        q[k + 4] = spread(srtp_load_le32(in + 4)) | spread(srtp_load_le32(in + 12)) << 8;
    }
    transpose(q);
}

static void unslice(uint64_t q[8], uint8_t *out)
{
    transpose(q);
    for (unsigned k = 0; k < BLOCKS; k++, out += SRTP_AES_BLOCK) {
        srtp_store_le32(out, gather(q[k]));
        srtp_store_le32(out + 4, gather(q[k + 4]));
        srtp_store_le32(out + 8, gather(q[k] >> 8));
        srtp_store_le32(out + 12, gather(q[k + 4] >> 8));
    }
}

/* SubBytes by the Boolean circuit of Boyar and Peralta ("A depth-16 circuit for the AES S-box", 2011): a linear
 * layer into the tower field, an inversion in GF(2^4), a linear layer back. Names follow the paper, where x0 and
 * s0 are the most significant bits. */
static inline void sub_bytes(uint64_t q[8])
{
    const uint64_t x0 = q[7], x1 = q[6], x2 = q[5], x3 = q[4], x4 = q[3], x5 = q[2], x6 = q[1], x7 = q[0];

    const uint64_t y14 = x3 ^ x5, y13 = x0 ^ x6, y9 = x0 ^ x3, y8 = x0 ^ x5, t0 = x1 ^ x2;
    const uint64_t y1 = t0 ^ x7, y4 = y1 ^ x3, y12 = y13 ^ y14, y2 = y1 ^ x0, y5 = y1 ^ x6, y3 = y5 ^ y8;
    const uint64_t t1 = x4 ^ y12, y15 = t1 ^ x5, y20 = t1 ^ x1, y6 = y15 ^ x7, y10 = y15 ^ t0, y11 = y20 ^ y9;
    const uint64_t y7 = x7 ^ y11, y17 = y10 ^ y11, y19 = y10 ^ y8, y16 = t0 ^ y11, y21 = y13 ^ y16, y18 = x0 ^ y16;

    const uint64_t t2 = y12 & y15, t4 = (y3 & y6) ^ t2, t6 = (y4 & x7) ^ t2;
    const uint64_t t7 = y13 & y16, t9 = (y5 & y1) ^ t7, t11 = (y2 & y7) ^ t7;
    const uint64_t t12 = y9 & y11, t14 = (y14 & y17) ^ t12, t16 = (y8 & y10) ^ t12;
    const uint64_t t21 = t4 ^ t14 ^ y20, t22 = t6 ^ t16 ^ y19, t23 = t9 ^ t14 ^ y21, t24 = t11 ^ t16 ^ y18;

    const uint64_t t25 = t21 ^ t22, t26 = t21 & t23, t27 = t24 ^ t26, t29 = (t25 & t27) ^ t22;
    const uint64_t t30 = t23 ^ t24, t31 = t22 ^ t26, t33 = (t31 & t30) ^ t24, t34 = t23 ^ t33, t35 = t27 ^ t33;
    const uint64_t t36 = t24 & t35, t37 = t36 ^ t34, t38 = t27 ^ t36, t40 = t25 ^ (t29 & t38);
    const uint64_t t41 = t40 ^ t37, t42 = t29 ^ t33, t43 = t29 ^ t40, t44 = t33 ^ t37, t45 = t42 ^ t41;

    const uint64_t z0 = t44 & y15, z1 = t37 & y6, z2 = t33 & x7, z3 = t43 & y16, z4 = t40 & y1, z5 = t29 & y7;
    const uint64_t z6 = t42 & y11, z7 = t45 & y17, z8 = t41 & y10, z9 = t44 & y12, z10 = t37 & y3, z11 = t33 & y4;
    const uint64_t z12 = t43 & y13, z13 = t40 & y5, z14 = t29 & y2, z15 = t42 & y9, z16 = t45 & y14, z17 = t41 & y8;

    const uint64_t t46 = z15 ^ z16, t48 = z5 ^ z13, t53 = z0 ^ z3;
    const uint64_t t57 = z2 ^ z12 ^ t53, t58 = z4 ^ t46, t59 = z3 ^ z6 ^ z7, t60 = t46 ^ t57;
    const uint64_t t62 = z7 ^ z8 ^ t58, t63 = z9 ^ z10 ^ t58, t64 = z4 ^ t59, t65 = z14 ^ t57 ^ t62, t66 = z1 ^ t63;
    const uint64_t s3 = t53 ^ t66;
    q[7] = t59 ^ t63;
    q[6] = ~(t64 ^ s3);
    q[5] = ~(z16 ^ z17 ^ t64 ^ t65);
    q[4] = s3;
    q[3] = z2 ^ z5 ^ t66;
    q[2] = z10 ^ z11 ^ t65;
    q[1] = ~(z12 ^ t48 ^ t62);
    q[0] = ~(t48 ^ t60);
}

/* Rotates the 16-bit lane of row r right by 4 r: column c takes what stood in column c + r. */
static inline void shift_rows(uint64_t q[8])
{
    for (unsigned b = 0; b < 8; b++) {
        const uint64_t x = q[b];
        q[b] = (x & 0x000000000000FFFFu)
            | (x & 0x00000000FFF00000u) >> 4 | (x & 0x00000000000F0000u) << 12
            | (x & 0x0000FF0000000000u) >> 8 | (x & 0x000000FF00000000u) << 8
            | (x & 0xF000000000000000u) >> 12 | (x & 0x0FFF000000000000u) << 4;
    }
}

static inline uint64_t rotate_right(uint64_t x, unsigned n)
{
    return x >> n | x << (64 - n);
}

/* Row r becomes 2 (s_r + s_r+1) + s_r+1 + s_r+2 + s_r+3; doubling is one plane up, reduced by x^4 + x^3 + x + 1. */
static inline void mix_columns(uint64_t q[8])
{
    uint64_t next[8], pair[8];
    for (unsigned b = 0; b < 8; b++) {
        next[b] = rotate_right(q[b], 16);
        pair[b] = q[b] ^ next[b];
    }
    for (unsigned b = 0; b < 8; b++) {
        uint64_t twice = b > 0 ? pair[b - 1] : pair[7];
        if (b == 1 || b == 3 || b == 4)
            twice ^= pair[7];
        q[b] = twice ^ next[b] ^ rotate_right(pair[b], 32);
    }
}

/* A round key is the same for the four blocks: its planes are kept four to a word, one bit in four. */
static inline void add_round_key(uint64_t q[8], const uint64_t *sliced)
{
    for (unsigned b = 0; b < 8; b++) {
        const uint64_t bits = sliced[b >> 2] >> (b & 3) & 0x1111111111111111u;
        q[b] ^= (bits << 4) - bits;
    }
}

static void encrypt_blocks(const srtp_aes_key *key, const uint8_t *in, uint8_t *out)
{
    uint64_t q[8];
    slice(q, in);
    add_round_key(q, key->sliced);
    for (uint32_t round = 1; round < key->rounds; round++) {
        sub_bytes(q);
        shift_rows(q);
        mix_columns(q);
        add_round_key(q, key->sliced + 2 * round);
    }
    sub_bytes(q);
    shift_rows(q);
    add_round_key(q, key->sliced + 2 * key->rounds);
    unslice(q, out);
}

/* The S-box on each byte of a word, for the key schedule. */
static uint32_t sub_word(uint32_t word)
{
    uint64_t q[8] = {word};
    transpose(q);
    sub_bytes(q);
    transpose(q);
    return (uint32_t)q[0];
}

static void slice_round_key(uint64_t sliced[2], const uint32_t words[4])
{
    uint8_t blocks[BLOCKS * SRTP_AES_BLOCK];
    uint64_t q[8];
    for (unsigned i = 0; i < BLOCKS * 4; i++)
        srtp_store_le32(blocks + 4 * i, words[i & 3]);
    slice(q, blocks);
    sliced[0] = sliced[1] = 0;
    for (unsigned b = 0; b < 8; b++)
        sliced[b >> 2] |= (q[b] & 0x1111111111111111u) << (b & 3);
    srtp_wipe(q, sizeof q);
    srtp_wipe(blocks, sizeof blocks);
}

void srtp_aes_expand_portable(srtp_aes_key *key, const uint8_t *key_bytes, size_t key_length)
{
    uint32_t words[4 * (SRTP_AES_MAX_ROUNDS + 1)];
    key->rounds = srtp_aes_schedule(words, key_bytes, key_length, sub_word);
    for (uint32_t round = 0; round <= key->rounds; round++)
        slice_round_key(key->sliced + 2 * round, words + 4 * round);
    srtp_wipe(words, sizeof words);
}

void srtp_aes_encrypt_block_portable(const srtp_aes_key *key, const uint8_t in[16], uint8_t out[16])
{
    uint8_t blocks[BLOCKS * SRTP_AES_BLOCK] = {0};
    memcpy(blocks, in, SRTP_AES_BLOCK);
    encrypt_blocks(key, blocks, blocks);
    memcpy(out, blocks, SRTP_AES_BLOCK);
    srtp_wipe(blocks, sizeof blocks);
}

void srtp_aes_ctr_portable(const srtp_aes_key *key, const uint8_t iv[16], const uint8_t *in, uint8_t *out,
                           size_t length)
{
    uint8_t stream[BLOCKS * SRTP_AES_BLOCK];
    uint32_t counter = srtp_load_be32(iv + 12);

    while (length > 0) {
        const size_t count = length < sizeof stream ? length : sizeof stream;
        for (unsigned k = 0; k < BLOCKS; k++) {
            memcpy(stream + SRTP_AES_BLOCK * k, iv, 12);
            srtp_store_be32(stream + SRTP_AES_BLOCK * k + 12, counter++);
        }
        encrypt_blocks(key, stream, stream);
        for (size_t i = 0; i < count; i++)
            out[i] = in[i] ^ stream[i];
        in += count;
        out += count;
        length -= count;
    }
    srtp_wipe(stream, sizeof stream);
}

void srtp_aes_ctr_batch_portable(const srtp_aes_ctr_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        srtp_aes_ctr_portable(jobs[i].key, jobs[i].iv, jobs[i].in, jobs[i].out, jobs[i].length);
}
