/* AES in counter mode by VAES on 256 bits: two blocks a register, eight registers in flight. */
#include "functions.h"

#ifdef SRTP_X86

#include <immintrin.h>

#include "partial_block.h"

#define VAES256 __attribute__((target("vaes,avx2,aes")))
#define VAES256_INLINE static inline __attribute__((always_inline, target("vaes,avx2,aes")))
#define WIDTH 32

VAES256_INLINE __m256i round_key(const srtp_aes_key *key, uint32_t round)
{
    return _mm256_broadcastsi128_si256(
        _mm_loadu_si128((const __m128i *)(key->round_keys + SRTP_AES_BLOCK * round)));
}

/* Bytes of each block with its last word reversed: between a counter block and one that can be added to. */
VAES256_INLINE __m256i swap_counter(__m256i blocks)
{
    const __m128i order = _mm_set_epi64x(0x0C0D0E0F0B0A0908, 0x0706050403020100);
    return _mm256_shuffle_epi8(blocks, _mm256_broadcastsi128_si256(order));
}

/* The 1 to 31 bytes of a register that is not full. */
VAES256_INLINE void xor_rest(const uint8_t *in, uint8_t *out, size_t rest, __m256i stream)
{
    __m128i block = _mm256_castsi256_si128(stream);
    if (rest >= SRTP_AES_BLOCK) {
        _mm_storeu_si128((__m128i *)out, _mm_xor_si128(_mm_loadu_si128((const __m128i *)in), block));
        block = _mm256_extracti128_si256(stream, 1);
        in += SRTP_AES_BLOCK;
        out += SRTP_AES_BLOCK;
        rest -= SRTP_AES_BLOCK;
    }
    if (rest > 0)
        srtp_partial_xor(in, out, rest, block);
}

/* Encrypts `count` counter registers, a constant, and XORs them with the text; of the last one only `rest` bytes if
 * that is not 0. */
VAES256_INLINE void xor_registers(const srtp_aes_key *key, __m256i counter, const uint8_t *in, uint8_t *out,
                                  const unsigned count, size_t rest)
{
    const __m256i two = _mm256_broadcastsi128_si256(_mm_set_epi32(2, 0, 0, 0));
    const uint32_t rounds = key->rounds;
    __m256i stream[8];
    __m256i k = round_key(key, 0);

    for (unsigned i = 0; i < count; i++) {
        stream[i] = _mm256_xor_si256(swap_counter(counter), k);
        counter = _mm256_add_epi32(counter, two);
    }
    for (uint32_t round = 1; round < rounds; round++) {
        k = round_key(key, round);
        for (unsigned i = 0; i < count; i++)
            stream[i] = _mm256_aesenc_epi128(stream[i], k);
    }
    k = round_key(key, rounds);
    for (unsigned i = 0; i < count; i++)
        stream[i] = _mm256_aesenclast_epi128(stream[i], k);
    const unsigned whole = rest > 0 ? count - 1 : count;
    for (unsigned i = 0; i < whole; i++) {
        const __m256i text = _mm256_loadu_si256((const __m256i *)(in + WIDTH * i));
        _mm256_storeu_si256((__m256i *)(out + WIDTH * i), _mm256_xor_si256(text, stream[i]));
    }
    if (rest > 0)
        xor_rest(in + WIDTH * whole, out + WIDTH * whole, rest, stream[whole]);
}

VAES256_INLINE void ctr(const srtp_aes_key *key, const uint8_t iv[16], const uint8_t *in, uint8_t *out,
                        size_t length)
{
    /* Two loads of 8 bytes: they forward from the caller's stores of 8, where one of 16 would wait for the cache. */
    __m128i block = _mm_loadl_epi64((const __m128i *)iv);
    block = _mm_unpacklo_epi64(block, _mm_loadl_epi64((const __m128i *)(iv + 8)));
    const __m256i first = _mm256_set_epi32(1, 0, 0, 0, 0, 0, 0, 0);
    __m256i counter = _mm256_add_epi32(swap_counter(_mm256_broadcastsi128_si256(block)), first);

    for (; length >= 8 * WIDTH; length -= 8 * WIDTH) {
        xor_registers(key, counter, in, out, 8, 0);
        counter = _mm256_add_epi32(counter, _mm256_broadcastsi128_si256(_mm_set_epi32(16, 0, 0, 0)));
        in += 8 * WIDTH;
        out += 8 * WIDTH;
    }
    const size_t rest = length % WIDTH;
    switch ((length + WIDTH - 1) / WIDTH) {
    case 1: xor_registers(key, counter, in, out, 1, rest); break;
    case 2: xor_registers(key, counter, in, out, 2, rest); break;
    case 3: xor_registers(key, counter, in, out, 3, rest); break;
    case 4: xor_registers(key, counter, in, out, 4, rest); break;
    case 5: xor_registers(key, counter, in, out, 5, rest); break;
    case 6: xor_registers(key, counter, in, out, 6, rest); break;
    case 7: xor_registers(key, counter, in, out, 7, rest); break;
    case 8: xor_registers(key, counter, in, out, 8, rest); break;
    default: break;
    }
}

VAES256 void srtp_aes_ctr_vaes256(const srtp_aes_key *key, const uint8_t iv[16], const uint8_t *in, uint8_t *out,
                                  size_t length)
{
    ctr(key, iv, in, out, length);
}

VAES256 void srtp_aes_ctr_batch_vaes256(const srtp_aes_ctr_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ctr(jobs[i].key, jobs[i].iv, jobs[i].in, jobs[i].out, jobs[i].length);
}

#endif
