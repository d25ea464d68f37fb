/* The kernels of SRTP and the one table through which everything calls them.
 *
 * Each kernel lives in a file of its own and carries its own target attribute; dispatch.c picks a table at
 * run time from what the CPU has (or from the name in SRTP_KERNELS). All kernels run in time that depends on
 * lengths only. */
#ifndef SRTP_KERNELS_H
#define SRTP_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define SRTP_AES_BLOCK 16
#define SRTP_SHA1_BLOCK 64
#define SRTP_SHA1_DIGEST 20
#define SRTP_AES_MAX_ROUNDS 14

/* An expanded AES encryption key, 128, 192 or 256 bits. `round_keys` is the FIPS 197 schedule in byte order;
 * `sliced` is the same schedule as the bitsliced portable kernel wants it (filled only by that kernel). */
typedef struct {
    uint8_t round_keys[(SRTP_AES_MAX_ROUNDS + 1) * SRTP_AES_BLOCK] __attribute__((aligned(64)));
    uint64_t sliced[(SRTP_AES_MAX_ROUNDS + 1) * 8];
    uint32_t rounds;
} srtp_aes_key;

/* The SHA-1 states after the ipad and the opad block: all of the key that HMAC needs per packet. */
typedef struct {
    uint32_t inner[5];
    uint32_t outer[5];
} srtp_hmac_sha1_key;

typedef struct {
    const char *name;
    /* key_length is 16, 24 or 32 bytes. */
    void (*aes_expand)(srtp_aes_key *key, const uint8_t *key_bytes, size_t key_length);
    void (*aes_encrypt_block)(const srtp_aes_key *key, const uint8_t in[16], uint8_t out[16]);
    /* out = in ^ keystream(counter block `iv`, its last 16 bits counting from their start value, RFC 3711
     * 4.1.1: at most 2^16 blocks). in == out is allowed; other overlap is not. */
    void (*aes_ctr)(const srtp_aes_key *key, const uint8_t iv[16], const uint8_t *in, uint8_t *out, size_t length);
    /* Runs the compression function over block_count blocks of 64 bytes. */
    void (*sha1_blocks)(uint32_t state[5], const uint8_t *data, size_t block_count);
} srtp_kernels;

/* The table for this CPU; `name` NULL means the best, or the one that SRTP_KERNELS names. Returns NULL when
 * the name is unknown or the CPU lacks what it needs. Thread-safe; no state but a cache. */
const srtp_kernels *srtp_kernels_select(const char *name);

/* The i-th table that this CPU can run, best first; NULL past the end. */
const srtp_kernels *srtp_kernels_available(size_t i);

/* HMAC-SHA1 over two pieces (the packet and, for RTP, its ROC), by the table's compression function.
 * key_length up to any size (longer than a block: hashed first, RFC 2104). */
void srtp_hmac_sha1_init(const srtp_kernels *k, srtp_hmac_sha1_key *key, const uint8_t *key_bytes, size_t key_length);
void srtp_hmac_sha1(const srtp_kernels *k, const srtp_hmac_sha1_key *key, const uint8_t *data, size_t length,
                    const uint8_t *tail, size_t tail_length, uint8_t tag[SRTP_SHA1_DIGEST]);

/* 1 if equal, in time that depends on length only. */
int srtp_equal(const uint8_t *a, const uint8_t *b, size_t length);
/* Not removed by the compiler. */
void srtp_wipe(void *data, size_t length);

#endif
