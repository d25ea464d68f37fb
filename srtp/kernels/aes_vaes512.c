/* AES in counter mode by VAES on 512 bits: four blocks a register, eight registers in flight. */
#include "functions.h"

#ifdef SRTP_X86

#include <immintrin.h>

#define VAES512 __attribute__((target("vaes,avx512f,avx512bw,avx512vl,aes")))
#define VAES512_INLINE static inline __attribute__((always_inline, target("vaes,avx512f,avx512bw,avx512vl,aes")))
#define WIDTH 64

VAES512_INLINE __m512i round_key(const srtp_aes_key *key, uint32_t round)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(key->round_keys + SRTP_AES_BLOCK * round)));
}

/* Bytes of each block with its last word reversed: between a counter block and one that can be added to. */
VAES512_INLINE __m512i swap_counter(__m512i blocks)
{
    const __m128i order = _mm_set_epi64x(0x0C0D0E0F0B0A0908, 0x0706050403020100);
    return _mm512_shuffle_epi8(blocks, _mm512_broadcast_i32x4(order));
}

/* Encrypts `count` counter registers, a constant, and XORs them with the text, the last one under `mask`. */
VAES512_INLINE void xor_registers(const srtp_aes_key *key, __m512i counter, const uint8_t *in, uint8_t *out,
                                  const unsigned count, __mmask64 mask)
{
    const __m512i four = _mm512_broadcast_i32x4(_mm_set_epi32(4, 0, 0, 0));
    const uint32_t rounds = key->rounds;
    __m512i stream[8];
    __m512i k = round_key(key, 0);

    for (unsigned i = 0; i < count; i++) {
        stream[i] = _mm512_xor_si512(swap_counter(counter), k);
        counter = _mm512_add_epi32(counter, four);
    }
    for (uint32_t round = 1; round < 10; round++) {
        k = round_key(key, round);
        for (unsigned i = 0; i < count; i++)
            stream[i] = _mm512_aesenc_epi128(stream[i], k);
    }
    for (uint32_t round = 10; round < rounds; round++) {
        k = round_key(key, round);
        for (unsigned i = 0; i < count; i++)
            stream[i] = _mm512_aesenc_epi128(stream[i], k);
    }
    k = round_key(key, rounds);
    for (unsigned i = 0; i < count; i++)
        stream[i] = _mm512_aesenclast_epi128(stream[i], k);
    for (unsigned i = 0; i + 1 < count; i++) {
        const __m512i text = _mm512_loadu_si512(in + WIDTH * i);
        _mm512_storeu_si512(out + WIDTH * i, _mm512_xor_si512(text, stream[i]));
    }
    const __m512i text = _mm512_maskz_loadu_epi8(mask, in + WIDTH * (count - 1));
    _mm512_mask_storeu_epi8(out + WIDTH * (count - 1), mask, _mm512_xor_si512(text, stream[count - 1]));
}

VAES512_INLINE void ctr(const srtp_aes_key *key, const uint8_t iv[16], const uint8_t *in, uint8_t *out,
                        size_t length)
{
    /* Two loads of 8 bytes: they forward from the caller's stores of 8, where one of 16 would wait for the cache. */
    __m128i block = _mm_loadl_epi64((const __m128i *)iv);
    block = _mm_unpacklo_epi64(block, _mm_loadl_epi64((const __m128i *)(iv + 8)));
    const __m512i first = _mm512_set_epi32(3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0);
    __m512i counter = _mm512_add_epi32(swap_counter(_mm512_broadcast_i32x4(block)), first);

    for (; length > 8 * WIDTH; length -= 8 * WIDTH) {
        xor_registers(key, counter, in, out, 8, ~(__mmask64)0);
        counter = _mm512_add_epi32(counter, _mm512_broadcast_i32x4(_mm_set_epi32(32, 0, 0, 0)));
        in += 8 * WIDTH;
        out += 8 * WIDTH;
    }
    const __mmask64 mask = ~(__mmask64)0 >> ((WIDTH - length) % WIDTH);
    switch ((length + WIDTH - 1) / WIDTH) {
    case 1: xor_registers(key, counter, in, out, 1, mask); break;
    case 2: xor_registers(key, counter, in, out, 2, mask); break;
    case 3: xor_registers(key, counter, in, out, 3, mask); break;
    case 4: xor_registers(key, counter, in, out, 4, mask); break;
    case 5: xor_registers(key, counter, in, out, 5, mask); break;
    case 6: xor_registers(key, counter, in, out, 6, mask); break;
    case 7: xor_registers(key, counter, in, out, 7, mask); break;
    case 8: xor_registers(key, counter, in, out, 8, mask); break;
    default: break;
    }
}

VAES512 void srtp_aes_ctr_vaes512(const srtp_aes_key *key, const uint8_t iv[16], const uint8_t *in, uint8_t *out,
                                  size_t length)
{
    ctr(key, iv, in, out, length);
}

VAES512 void srtp_aes_ctr_batch_vaes512(const srtp_aes_ctr_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ctr(jobs[i].key, jobs[i].iv, jobs[i].in, jobs[i].out, jobs[i].length);
}

#endif
