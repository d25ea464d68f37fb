/* AES in counter mode by AES-NI, eight blocks in flight. */
#include "functions.h"

#ifdef SRTP_X86

#include <immintrin.h>

#include "aes_schedule.h"
#include "partial_block.h"

#define AESNI __attribute__((target("aes,sse4.1,ssse3")))
#define AESNI_INLINE static inline __attribute__((always_inline, target("aes,sse4.1,ssse3")))

AESNI_INLINE uint32_t sub_word(uint32_t word)
{
    return (uint32_t)_mm_cvtsi128_si32(_mm_aeskeygenassist_si128(_mm_set1_epi32((int)word), 0));
}

AESNI void srtp_aes_expand_aesni(srtp_aes_key *key, const uint8_t *key_bytes, size_t key_length)
{
    uint32_t words[4 * (SRTP_AES_MAX_ROUNDS + 1)];
    key->rounds = srtp_aes_schedule(words, key_bytes, key_length, sub_word);
    memcpy(key->round_keys, words, SRTP_AES_BLOCK * (key->rounds + 1));
    srtp_wipe(words, sizeof words);
}

AESNI_INLINE __m128i round_key(const srtp_aes_key *key, uint32_t round)
{
    return _mm_loadu_si128((const __m128i *)(key->round_keys + SRTP_AES_BLOCK * round));
}

/* Encrypts `count` blocks, a constant, side by side. */
AESNI_INLINE void encrypt(const srtp_aes_key *key, __m128i *blocks, const unsigned count)
{
    const uint32_t rounds = key->rounds;
    __m128i k = round_key(key, 0);
    for (unsigned i = 0; i < count; i++)
        blocks[i] = _mm_xor_si128(blocks[i], k);
    for (uint32_t round = 1; round < rounds; round++) {
        k = round_key(key, round);
        for (unsigned i = 0; i < count; i++)
            blocks[i] = _mm_aesenc_si128(blocks[i], k);
    }
    k = round_key(key, rounds);
    for (unsigned i = 0; i < count; i++)
        blocks[i] = _mm_aesenclast_si128(blocks[i], k);
}

AESNI void srtp_aes_encrypt_block_aesni(const srtp_aes_key *key, const uint8_t in[16], uint8_t out[16])
{
    __m128i block = _mm_loadu_si128((const __m128i *)in);
    encrypt(key, &block, 1);
    _mm_storeu_si128((__m128i *)out, block);
}

/* `count` blocks, a constant, of which the last has only `rest` bytes if that is not 0. `counter` is the counter block
 * with its last word in the byte order of the machine. */
AESNI_INLINE void xor_blocks(const srtp_aes_key *key, __m128i counter, const uint8_t *in, uint8_t *out,
                             const unsigned count, size_t rest)
{
    const __m128i to_block = _mm_set_epi64x(0x0C0D0E0F0B0A0908, 0x0706050403020100);
    __m128i stream[8];

    for (unsigned i = 0; i < count; i++)
        stream[i] = _mm_shuffle_epi8(_mm_add_epi32(counter, _mm_set_epi32((int)i, 0, 0, 0)), to_block);
    encrypt(key, stream, count);
    const unsigned whole = rest > 0 ? count - 1 : count;
    for (unsigned i = 0; i < whole; i++) {
        const __m128i text = _mm_loadu_si128((const __m128i *)(in + SRTP_AES_BLOCK * i));
        _mm_storeu_si128((__m128i *)(out + SRTP_AES_BLOCK * i), _mm_xor_si128(text, stream[i]));
    }
    if (rest > 0)
        srtp_partial_xor(in + SRTP_AES_BLOCK * whole, out + SRTP_AES_BLOCK * whole, rest, stream[whole]);
}

AESNI_INLINE void ctr(const srtp_aes_key *key, const uint8_t iv[16], const uint8_t *in, uint8_t *out, size_t length)
{
    const __m128i to_block = _mm_set_epi64x(0x0C0D0E0F0B0A0908, 0x0706050403020100);
    /* Two loads of 8 bytes: they forward from the caller's stores of 8, where one of 16 would wait for the cache. */
    __m128i counter = _mm_loadl_epi64((const __m128i *)iv);
    counter = _mm_unpacklo_epi64(counter, _mm_loadl_epi64((const __m128i *)(iv + 8)));
    counter = _mm_shuffle_epi8(counter, to_block);

    for (; length >= 8 * SRTP_AES_BLOCK; length -= 8 * SRTP_AES_BLOCK) {
        xor_blocks(key, counter, in, out, 8, 0);
        counter = _mm_add_epi32(counter, _mm_set_epi32(8, 0, 0, 0));
        in += 8 * SRTP_AES_BLOCK;
        out += 8 * SRTP_AES_BLOCK;
    }
    const size_t rest = length % SRTP_AES_BLOCK;
    switch ((length + SRTP_AES_BLOCK - 1) / SRTP_AES_BLOCK) {
    case 1: xor_blocks(key, counter, in, out, 1, rest); break;
    case 2: xor_blocks(key, counter, in, out, 2, rest); break;
    case 3: xor_blocks(key, counter, in, out, 3, rest); break;
    case 4: xor_blocks(key, counter, in, out, 4, rest); break;
    case 5: xor_blocks(key, counter, in, out, 5, rest); break;
    case 6: xor_blocks(key, counter, in, out, 6, rest); break;
    case 7: xor_blocks(key, counter, in, out, 7, rest); break;
    case 8: xor_blocks(key, counter, in, out, 8, rest); break;
    default: break;
    }
}

AESNI void srtp_aes_ctr_aesni(const srtp_aes_key *key, const uint8_t iv[16], const uint8_t *in, uint8_t *out,
                              size_t length)
{
    ctr(key, iv, in, out, length);
}

AESNI void srtp_aes_ctr_batch_aesni(const srtp_aes_ctr_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ctr(jobs[i].key, jobs[i].iv, jobs[i].in, jobs[i].out, jobs[i].length);
}

#endif
