/* HMAC-SHA1 (RFC 2104, FIPS 198-1) over any compression function: the keys, and the plain path of the packets. */
#include "hmac_blocks.h"

static const uint32_t SHA1_INITIAL[5] = {0x67452301u, 0xEFCDAB89u, 0x98BADCFEu, 0x10325476u, 0xC3D2E1F0u};

/* A message in the making: the state and the bytes that do not yet fill a block. */
typedef struct {
    srtp_sha1_blocks_function *sha1_blocks;
    uint32_t state[5];
    uint64_t length;
    uint8_t rest[SRTP_SHA1_BLOCK];
} sha1_message;

static void begin(sha1_message *m, srtp_sha1_blocks_function *sha1_blocks, const uint32_t state[5], uint64_t length)
{
    m->sha1_blocks = sha1_blocks;
    m->length = length;
    memcpy(m->state, state, sizeof m->state);
}

static void absorb(sha1_message *m, const uint8_t *data, size_t length)
{
    const size_t held = m->length % SRTP_SHA1_BLOCK;
    m->length += length;
    if (held > 0) {
        const size_t wanted = SRTP_SHA1_BLOCK - held;
        const size_t taken = length < wanted ? length : wanted;
        if (taken > 0)
            memcpy(m->rest + held, data, taken);
        if (taken < wanted)
            return;
        m->sha1_blocks(m->state, m->rest, 1);
        data += taken;
        length -= taken;
    }
    const size_t blocks = length / SRTP_SHA1_BLOCK;
    if (blocks > 0)
        m->sha1_blocks(m->state, data, blocks);
    if (length % SRTP_SHA1_BLOCK > 0)
        memcpy(m->rest, data + SRTP_SHA1_BLOCK * blocks, length % SRTP_SHA1_BLOCK);
}

static void finish(sha1_message *m, uint8_t digest[SRTP_SHA1_DIGEST])
{
    static const uint8_t PADDING[SRTP_SHA1_BLOCK] = {0x80};
    uint8_t bits[8];
    srtp_store_be64(bits, 8 * m->length);
    absorb(m, PADDING, SRTP_SHA1_BLOCK - (m->length + 8) % SRTP_SHA1_BLOCK);
    absorb(m, bits, sizeof bits);
    for (unsigned i = 0; i < 5; i++)
        srtp_store_be32(digest + 4 * i, m->state[i]);
    srtp_wipe(m, sizeof *m);
}

void srtp_hmac_sha1_over(srtp_sha1_blocks_function *sha1_blocks, const srtp_hmac_sha1_key *key, const uint8_t *data,
                         size_t length, const uint8_t *tail, size_t tail_length, uint8_t tag[SRTP_SHA1_DIGEST])
{
    sha1_message m;
    uint8_t digest[SRTP_SHA1_DIGEST];
    begin(&m, sha1_blocks, key->inner, SRTP_SHA1_BLOCK);
    absorb(&m, data, length);
    absorb(&m, tail, tail_length);
    finish(&m, digest);
    begin(&m, sha1_blocks, key->outer, SRTP_SHA1_BLOCK);
    absorb(&m, digest, sizeof digest);
    finish(&m, tag);
}

void srtp_hmac_sha1_init(const srtp_kernels *k, srtp_hmac_sha1_key *key, const uint8_t *key_bytes, size_t key_length)
{
    uint8_t block[SRTP_SHA1_BLOCK] = {0};
    if (key_length > SRTP_SHA1_BLOCK) {
        sha1_message m;
        begin(&m, k->sha1_blocks, SHA1_INITIAL, 0);
        absorb(&m, key_bytes, key_length);
        finish(&m, block);
    } else if (key_length > 0) {
        memcpy(block, key_bytes, key_length);
    }
    memcpy(key->inner, SHA1_INITIAL, sizeof key->inner);
    memcpy(key->outer, SHA1_INITIAL, sizeof key->outer);
    for (unsigned i = 0; i < SRTP_SHA1_BLOCK; i++)
        block[i] ^= 0x36;
    k->sha1_blocks(key->inner, block, 1);
    for (unsigned i = 0; i < SRTP_SHA1_BLOCK; i++)
        block[i] ^= 0x36 ^ 0x5C;
    k->sha1_blocks(key->outer, block, 1);
    srtp_wipe(block, sizeof block);
}

void srtp_hmac_sha1(const srtp_kernels *k, const srtp_hmac_sha1_key *key, const uint8_t *data, size_t length,
                    const uint8_t *tail, size_t tail_length, uint8_t tag[SRTP_SHA1_DIGEST])
{
    k->hmac_sha1(key, data, length, tail, tail_length, tag);
}

void srtp_hmac_sha1_portable(const srtp_hmac_sha1_key *key, const uint8_t *data, size_t length, const uint8_t *tail,
                             size_t tail_length, uint8_t tag[SRTP_SHA1_DIGEST])
{
    srtp_hmac_sha1_over(srtp_sha1_blocks_portable, key, data, length, tail, tail_length, tag);
}

void srtp_hmac_sha1_batch_portable(srtp_hmac_sha1_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        srtp_hmac_sha1_over(srtp_sha1_blocks_portable, jobs[i].key, jobs[i].data, jobs[i].length, jobs[i].tail,
                            jobs[i].tail_length, jobs[i].tag);
}
