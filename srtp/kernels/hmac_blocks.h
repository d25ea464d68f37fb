/* HMAC-SHA1 (RFC 2104) over precomputed states: what its kernels share. */
#ifndef SRTP_HMAC_BLOCKS_H
#define SRTP_HMAC_BLOCKS_H

#include "functions.h"

/* The longest tail that srtp_hmac_last_blocks() takes; kernels hand longer ones to srtp_hmac_sha1_over(). */
#define SRTP_HMAC_SHORT_TAIL 32
/* Bits of the outer message: the opad block and the inner digest. */
#define SRTP_HMAC_OUTER_BITS (8 * (SRTP_SHA1_BLOCK + SRTP_SHA1_DIGEST))

/* Writes what follows the whole blocks of data: its rest, the tail, the padding and the length. Returns how many
 * blocks that fills, 1 or 2. The whole blocks are hashed where they lie. */
SRTP_INLINE size_t srtp_hmac_last_blocks(uint8_t last[2 * SRTP_SHA1_BLOCK], const uint8_t *data, size_t length,
                                         const uint8_t *tail, size_t tail_length)
{
    const size_t rest = length % SRTP_SHA1_BLOCK;
    const size_t used = rest + tail_length;
    const size_t blocks = used + 9 > SRTP_SHA1_BLOCK ? 2 : 1;

    memset(last, 0, 2 * SRTP_SHA1_BLOCK);
    srtp_copy_short(last, data + (length - rest), rest);
    if (tail_length == 4)
        memcpy(last + rest, tail, 4);
    else
        srtp_copy_short(last + rest, tail, tail_length);
    last[used] = 0x80;
    srtp_store_be64(last + SRTP_SHA1_BLOCK * blocks - 8, 8 * (uint64_t)(SRTP_SHA1_BLOCK + length + tail_length));
    return blocks;
}

/* HMAC over a compression function, any length of tail. */
void srtp_hmac_sha1_over(srtp_sha1_blocks_function *sha1_blocks, const srtp_hmac_sha1_key *key, const uint8_t *data,
                         size_t length, const uint8_t *tail, size_t tail_length, uint8_t tag[SRTP_SHA1_DIGEST]);

#endif
