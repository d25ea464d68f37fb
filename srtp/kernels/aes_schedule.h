/* The AES key schedule (FIPS 197 5.2) over whatever computes the S-box of a word. */
#ifndef SRTP_AES_SCHEDULE_H
#define SRTP_AES_SCHEDULE_H

#include "functions.h"

/* Fills `words`, in little-endian order (RotWord is a rotation to the right), and returns the number of rounds. */
SRTP_INLINE uint32_t srtp_aes_schedule(uint32_t words[4 * (SRTP_AES_MAX_ROUNDS + 1)], const uint8_t *key_bytes,
                                       size_t key_length, uint32_t (*sub_word)(uint32_t))
{
    const unsigned key_words = (unsigned)(key_length / 4);
    const uint32_t rounds = key_words + 6;
    uint32_t rcon = 1;

    for (unsigned i = 0; i < key_words; i++)
        words[i] = srtp_load_le32(key_bytes + 4 * i);
    for (unsigned i = key_words; i < 4 * (rounds + 1); i++) {
        uint32_t word = words[i - 1];
        if (i % key_words == 0) {
            word = sub_word(word >> 8 | word << 24) ^ rcon;
            rcon = (rcon << 1) ^ (0x11B & (0u - (rcon >> 7)));
        } else if (key_words == 8 && i % 8 == 4) {
            word = sub_word(word);
        }
        words[i] = words[i - key_words] ^ word;
    }
    return rounds;
}

#endif
