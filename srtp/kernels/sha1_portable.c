/* The SHA-1 compression function (FIPS 180-4 6.1.2) in plain C. */
#include "functions.h"

SRTP_INLINE uint32_t rotate_left(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

/* W_t of the message schedule, of which only the last sixteen words are kept. */
SRTP_INLINE uint32_t schedule(uint32_t w[16], unsigned t)
{
    if (t >= 16)
        w[t & 15] = rotate_left(w[(t + 13) & 15] ^ w[(t + 8) & 15] ^ w[(t + 2) & 15] ^ w[t & 15], 1);
    return w[t & 15];
}

#define CHOOSE(b, c, d) (((c ^ d) & b) ^ d)
#define PARITY(b, c, d) (b ^ c ^ d)
#define MAJORITY(b, c, d) ((b & c) | (d & (b | c)))
#define ROUND(f, k, a, b, c, d, e, t)                                 \
    e += rotate_left(a, 5) + f(b, c, d) + (k) + schedule(w, (t));     \
    b = rotate_left(b, 30)
/* Five rounds bring each variable back to its place. */
#define FIVE_ROUNDS(f, k, t)                \
    ROUND(f, k, a, b, c, d, e, (t));        \
    ROUND(f, k, e, a, b, c, d, (t) + 1);    \
    ROUND(f, k, d, e, a, b, c, (t) + 2);    \
    ROUND(f, k, c, d, e, a, b, (t) + 3);    \
    ROUND(f, k, b, c, d, e, a, (t) + 4)
#define TWENTY_ROUNDS(f, k, t)              \
    FIVE_ROUNDS(f, k, (t));                 \
    FIVE_ROUNDS(f, k, (t) + 5);             \
    FIVE_ROUNDS(f, k, (t) + 10);            \
    FIVE_ROUNDS(f, k, (t) + 15)

void srtp_sha1_blocks_portable(uint32_t state[5], const uint8_t *data, size_t block_count)
{
    uint32_t w[16];

    for (; block_count > 0; block_count--, data += SRTP_SHA1_BLOCK) {
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
        for (unsigned i = 0; i < 16; i++)
            w[i] = srtp_load_be32(data + 4 * i);
        TWENTY_ROUNDS(CHOOSE, 0x5A827999u, 0);
        TWENTY_ROUNDS(PARITY, 0x6ED9EBA1u, 20);
        TWENTY_ROUNDS(MAJORITY, 0x8F1BBCDCu, 40);
        TWENTY_ROUNDS(PARITY, 0xCA62C1D6u, 60);
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
        state[4] += e;
    }
    srtp_wipe(w, sizeof w);
}
