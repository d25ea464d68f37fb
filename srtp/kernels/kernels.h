/* The kernels of SRTP and the one table through which everything calls them.
 *
 * Each kernel lives in a file of its own and carries its own target attribute; dispatch.c picks a table at
 * run time from what the CPU has (or from the name in SRTP_KERNELS). All kernels run in time that depends on
 * lengths only. Bytes need no alignment; where there are none, the pointer may be null. Key structures hold
 * secrets: srtp_wipe() them when done. */
#ifndef SRTP_KERNELS_H
#define SRTP_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define SRTP_AES_BLOCK 16
#define SRTP_SHA1_BLOCK 64
#define SRTP_SHA1_DIGEST 20
#define SRTP_AES_MAX_ROUNDS 14
#define SRTP_GCM_NONCE 12
#define SRTP_GCM_TAG 16
#define SRTP_GCM_POWERS 16

/* An expanded AES encryption key, 128, 192 or 256 bits, in the form of the table that expanded it (use it with
 * that table only): `round_keys` is the FIPS 197 schedule in byte order, `sliced` the same schedule as the
 * bitsliced portable kernel wants it, two words a round. */
typedef struct {
    union {
        uint8_t round_keys[(SRTP_AES_MAX_ROUNDS + 1) * SRTP_AES_BLOCK];
        uint64_t sliced[(SRTP_AES_MAX_ROUNDS + 1) * 2];
    };
    uint32_t rounds;
} srtp_aes_key;

/* The SHA-1 states after the ipad and the opad block: all of the key that HMAC needs per packet. */
typedef struct {
    uint32_t inner[5];
    uint32_t outer[5];
} srtp_hmac_sha1_key;

/* An AES key and the powers of its GHASH key H = E(0), in the form of the table that made it. */
typedef struct {
    srtp_aes_key aes;
    uint8_t powers[SRTP_GCM_POWERS * 16];
} srtp_gcm_key;

/* One packet of aes_ctr_batch(); the members are the arguments of aes_ctr(). Write `iv` by 8-byte stores. */
typedef struct {
    const srtp_aes_key *key;
    const uint8_t *in;
    uint8_t *out;
    size_t length;
    uint8_t iv[16];
} srtp_aes_ctr_job;

/* One packet of hmac_sha1_batch(); the members are the arguments of hmac_sha1(), `tag` is the result. */
typedef struct {
    const srtp_hmac_sha1_key *key;
    const uint8_t *data;
    size_t length;
    const uint8_t *tail;
    size_t tail_length;
    uint8_t tag[SRTP_SHA1_DIGEST];
} srtp_hmac_sha1_job;

typedef struct {
    const char *name;
    /* key_length is 16, 24 or 32 bytes. */
    void (*aes_expand)(srtp_aes_key *key, const uint8_t *key_bytes, size_t key_length);
    void (*aes_encrypt_block)(const srtp_aes_key *key, const uint8_t in[16], uint8_t out[16]);
    /* out = in ^ keystream(counter block `iv`), for any length. The last 32 bits of the counter block count, big
     * endian, from their start value: for SRTP, where the last 16 start at zero, this is RFC 3711 4.1.1.
     * in == out is allowed; other overlap is not. Fastest where iv was written by 8-byte stores. */
    void (*aes_ctr)(const srtp_aes_key *key, const uint8_t iv[16], const uint8_t *in, uint8_t *out, size_t length);
    /* Runs the compression function over block_count blocks of 64 bytes. */
    void (*sha1_blocks)(uint32_t state[5], const uint8_t *data, size_t block_count);
    /* HMAC-SHA1 over two pieces (the packet and, for RTP, its ROC), all 20 bytes of it. */
    void (*hmac_sha1)(const srtp_hmac_sha1_key *key, const uint8_t *data, size_t length, const uint8_t *tail,
                      size_t tail_length, uint8_t tag[SRTP_SHA1_DIGEST]);
    /* Many packets in one call, of any lengths and keys, independent of one another: the results are those of
     * one call each in any order. */
    void (*aes_ctr_batch)(const srtp_aes_ctr_job *jobs, size_t count);
    void (*hmac_sha1_batch)(srtp_hmac_sha1_job *jobs, size_t count);
    /* AES-GCM with a nonce of 12 bytes and a tag of 16 (SP 800-38D). gcm_open returns 1 and writes the plaintext,
     * or returns 0 with `out` untouched: it authenticates before it decrypts. in == out is allowed. */
    void (*gcm_expand)(srtp_gcm_key *key, const uint8_t *key_bytes, size_t key_length);
    void (*gcm_seal)(const srtp_gcm_key *key, const uint8_t nonce[SRTP_GCM_NONCE], const uint8_t *aad,
                     size_t aad_length, const uint8_t *in, uint8_t *out, size_t length, uint8_t tag[SRTP_GCM_TAG]);
    int (*gcm_open)(const srtp_gcm_key *key, const uint8_t nonce[SRTP_GCM_NONCE], const uint8_t *aad,
                    size_t aad_length, const uint8_t *in, uint8_t *out, size_t length,
                    const uint8_t tag[SRTP_GCM_TAG]);
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
