/* SHA-1 and HMAC-SHA1 of one packet by the SHA extensions of x86. */
#include "functions.h"

#ifdef SRTP_X86

#include "sha1_shani.h"

SRTP_SHANI void srtp_sha1_blocks_shani(uint32_t state[5], const uint8_t *data, size_t block_count)
{
    srtp_shani_state s = srtp_shani_load(state);
    for (; block_count > 0; block_count--, data += SRTP_SHA1_BLOCK)
        srtp_shani_block(&s, data);
    srtp_shani_store(s, state);
}

SRTP_SHANI void srtp_hmac_sha1_shani(const srtp_hmac_sha1_key *key, const uint8_t *data, size_t length,
                                     const uint8_t *tail, size_t tail_length, uint8_t tag[SRTP_SHA1_DIGEST])
{
    uint8_t last[2 * SRTP_SHA1_BLOCK];

    if (tail_length > SRTP_HMAC_SHORT_TAIL) {
        srtp_hmac_sha1_over(srtp_sha1_blocks_shani, key, data, length, tail, tail_length, tag);
        return;
    }
    /* First, so that its stores have long reached the cache when the rounds come to them. */
    const size_t last_blocks = srtp_hmac_last_blocks(last, data, length, tail, tail_length);
    srtp_shani_state s = srtp_shani_load(key->inner);
    for (size_t left = length / SRTP_SHA1_BLOCK; left > 0; left--, data += SRTP_SHA1_BLOCK)
        srtp_shani_block(&s, data);
    srtp_shani_block(&s, last);
    if (last_blocks == 2)
        srtp_shani_block(&s, last + SRTP_SHA1_BLOCK);
    srtp_shani_words message = srtp_shani_outer_message(s);
    s = srtp_shani_load(key->outer);
    srtp_shani_rounds(&s, &message, 1);
    srtp_shani_digest(s, tag);
}

#endif
