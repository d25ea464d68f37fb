/* AES-GCM by VAES and VPCLMULQDQ on 512 bits, encryption and GHASH together: sixteen blocks to one reduction, and
 * a packet of up to fifteen blocks, its header and its lengths to one reduction in all. */
#include "functions.h"

#ifdef SRTP_X86

#include <immintrin.h>

#include "gcm_aesni.h"

#define VAES512_TARGET "vaes,vpclmulqdq,avx512f,avx512bw,avx512vl,aes,pclmul,sse4.1,ssse3"
#define VAES512 __attribute__((target(VAES512_TARGET)))
#define VAES512_INLINE static inline __attribute__((always_inline, target(VAES512_TARGET)))
#define WIDTH 64

/* As srtp_gcm_product, for the four lanes apart. */
typedef struct {
    __m512i low, middle, high;
} wide_product;

VAES512_INLINE wide_product no_product(void)
{
    const wide_product none = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    return none;
}

VAES512_INLINE __m512i xor3(__m512i a, __m512i b, __m512i c)
{
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

VAES512_INLINE void multiply(wide_product *sum, __m512i x, __m512i y)
{
    sum->low = _mm512_xor_si512(sum->low, _mm512_clmulepi64_epi128(x, y, 0x00));
    sum->high = _mm512_xor_si512(sum->high, _mm512_clmulepi64_epi128(x, y, 0x11));
    sum->middle = xor3(sum->middle, _mm512_clmulepi64_epi128(x, y, 0x01), _mm512_clmulepi64_epi128(x, y, 0x10));
}

VAES512_INLINE __m128i sum_of_lanes(__m512i x)
{
    const __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
    return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

VAES512_INLINE __m512i reverse(__m512i blocks)
{
    const __m128i order = _mm_set_epi64x(0x0001020304050607, 0x08090A0B0C0D0E0F);
    return _mm512_shuffle_epi8(blocks, _mm512_broadcast_i32x4(order));
}

VAES512_INLINE __m512i powers(const srtp_gcm_key *key, size_t highest)
{
    return _mm512_loadu_si512(srtp_gcm_power(key, highest));
}

/* A message in the making. `y` is still to be multiplied by P^(blocks that follow + lag): a header block as it is
 * has lag 1, what came out of a reduction has lag 0. */
typedef struct {
    const srtp_gcm_key *key;
    __m128i first;   /* J_0, the counter block of the tag, ... */
    __m512i counter; /* and the next four, their last words in the byte order of the machine */
    __m128i lengths; /* the last block of GHASH */
    __m128i y;
    size_t lag;
} message;

VAES512_INLINE __m512i swap_counter(__m512i blocks)
{
    const __m128i order = _mm_set_epi64x(0x0C0D0E0F0B0A0908, 0x0706050403020100);
    return _mm512_shuffle_epi8(blocks, _mm512_broadcast_i32x4(order));
}

VAES512_INLINE __m512i round_key(const srtp_aes_key *key, uint32_t round)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(key->round_keys + SRTP_AES_BLOCK * round)));
}

/* The keystream of `count` registers, a constant, and the counter moved on. With `with_first`, J_0 goes along in the
 * highest lane of the last register. */
VAES512_INLINE void keystream(message *m, __m512i *stream, const unsigned count, const int with_first)
{
    const srtp_aes_key *key = &m->key->aes;
    const uint32_t rounds = key->rounds;
    __m512i k = round_key(key, 0);

    for (unsigned i = 0; i < count; i++) {
        __m512i counter = m->counter;
        if (with_first && i == count - 1)
            counter = _mm512_inserti32x4(counter, m->first, 3);
        stream[i] = _mm512_xor_si512(swap_counter(counter), k);
        m->counter = _mm512_add_epi32(m->counter, _mm512_broadcast_i32x4(_mm_set_epi32(4, 0, 0, 0)));
    }
    for (uint32_t round = 1; round < rounds; round++) {
        k = round_key(key, round);
        for (unsigned i = 0; i < count; i++)
            stream[i] = _mm512_aesenc_epi128(stream[i], k);
    }
    k = round_key(key, rounds);
    for (unsigned i = 0; i < count; i++)
        stream[i] = _mm512_aesenclast_epi128(stream[i], k);
}

/* The product of y with its power, for `blocks` blocks to come. Apart from those of the blocks, so that from one y to
 * the next it is not far: the sums over lanes stand aside. */
VAES512_INLINE srtp_gcm_product carry_over(const message *m, size_t blocks)
{
    srtp_gcm_product product = srtp_gcm_no_product();
    const __m128i power = _mm_loadu_si128((const __m128i *)srtp_gcm_power(m->key, blocks + m->lag));
    srtp_gcm_multiply(&product, m->y, power);
    return product;
}

/* The products of the blocks and that of y to the next y. */
VAES512_INLINE void settle(message *m, wide_product blocks, srtp_gcm_product carried)
{
    const __m512i low = _mm512_xor_si512(blocks.low, _mm512_bslli_epi128(blocks.middle, 8));
    const __m512i high = _mm512_xor_si512(blocks.high, _mm512_bsrli_epi128(blocks.middle, 8));
    carried.low = _mm_xor_si128(carried.low, sum_of_lanes(low));
    carried.high = _mm_xor_si128(carried.high, sum_of_lanes(high));
    m->y = srtp_gcm_reduce(carried);
    m->lag = 0;
}

/* Encrypts `count` whole registers, a constant up to 4, if sealing, and takes them into y, whose lag is 0. */
VAES512_INLINE void whole_registers(message *m, const uint8_t *in, uint8_t *out, const unsigned count,
                                    const int sealing)
{
    const srtp_gcm_product carried = carry_over(m, 4 * count);
    wide_product sum = no_product();
    __m512i stream[4];

    if (sealing)
        keystream(m, stream, count, 0);
    for (unsigned i = 0; i < count; i++) {
        __m512i text = _mm512_loadu_si512(in + WIDTH * i);
        if (sealing) {
            text = _mm512_xor_si512(text, stream[i]);
            _mm512_storeu_si512(out + WIDTH * i, text);
        }
        multiply(&sum, reverse(text), powers(m->key, 4 * (count - i)));
    }
    settle(m, sum, carried);
}

/* Additional data longer than a block, 48 bytes at a time. */
VAES512_INLINE void long_aad(message *m, const uint8_t *aad, size_t length)
{
    while (length > 0) {
        const size_t count = length < 48 ? length : 48, blocks = (count + SRTP_AES_BLOCK - 1) / SRTP_AES_BLOCK;
        const __mmask8 words = (__mmask8)((1u << 2 * blocks) - 1);
        const __m512i data = _mm512_maskz_loadu_epi8(((__mmask64)1 << count) - 1, aad);
        wide_product sum = no_product();
        multiply(&sum, reverse(data), _mm512_maskz_loadu_epi64(words, srtp_gcm_power(m->key, blocks)));
        settle(m, sum, carry_over(m, blocks));
        aad += count;
        length -= count;
    }
}

VAES512_INLINE message begin(const srtp_gcm_key *key, const uint8_t nonce[SRTP_GCM_NONCE], const uint8_t *aad,
                             size_t aad_length, size_t length)
{
    message m;
    /* Loads as the caller stored, so that they forward. */
    __m128i block = _mm_insert_epi32(_mm_loadl_epi64((const __m128i *)nonce), (int)srtp_load_le32(nonce + 8), 2);
    const __m512i lanes = _mm512_set_epi32(4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0);

    m.key = key;
    m.first = _mm_insert_epi32(block, 1, 3);
    m.counter = _mm512_add_epi32(_mm512_broadcast_i32x4(m.first), lanes);
    m.lengths = _mm_set_epi64x((long long)(8 * aad_length), (long long)(8 * length));
    m.y = _mm_setzero_si128();
    m.lag = 0;
    if (aad_length <= SRTP_AES_BLOCK) {
        m.y = srtp_gcm_reverse(_mm_maskz_loadu_epi8((__mmask16)((1u << aad_length) - 1), aad));
        m.lag = 1;
    } else {
        long_aad(&m, aad, aad_length);
    }
    return m;
}

/* The longest text for which its blocks, the lengths and a header block have powers enough. */
#define SHORT (14 * SRTP_AES_BLOCK)

/* Bytes of the text, from `start` on, as a mask of one register. */
VAES512_INLINE __mmask64 bytes_from(size_t length, size_t start)
{
    if (length <= start)
        return 0;
    return length - start >= WIDTH ? ~(__mmask64)0 : ((__mmask64)1 << (length - start)) - 1;
}

/* The last `length` bytes, up to SHORT, in `count` registers, a constant: blocks / 4 + 1, so that the lengths have
 * a lane after the text and J_0 the highest. Sealing writes the tag; opening compares it, before it stores. */
VAES512_INLINE int finish(message *m, const uint8_t *in, uint8_t *out, size_t length, const unsigned count,
                          uint8_t *sealed_tag, const uint8_t *given_tag)
{
    const size_t blocks = (length + SRTP_AES_BLOCK - 1) / SRTP_AES_BLOCK, lane = blocks % 4;
    const __mmask8 words = (__mmask8)((1u << (2 * lane + 2)) - 1);
    const srtp_gcm_product carried = carry_over(m, blocks + 1);
    wide_product sum = no_product();
    __m512i stream[4], texts[4];

    keystream(m, stream, count, 1);
    for (unsigned i = 0; i < count; i++) {
        const __mmask64 bytes = bytes_from(length, WIDTH * i);
        __m512i ciphertext = _mm512_maskz_loadu_epi8(bytes, in + WIDTH * i);
        texts[i] = _mm512_maskz_mov_epi8(bytes, _mm512_xor_si512(ciphertext, stream[i]));
        if (sealed_tag != NULL) {
            ciphertext = texts[i];
            _mm512_mask_storeu_epi8(out + WIDTH * i, bytes, ciphertext);
        }
        ciphertext = reverse(ciphertext);
        if (i < count - 1) {
            multiply(&sum, ciphertext, powers(m->key, blocks + 1 - 4 * i));
        } else {
            ciphertext = _mm512_mask_broadcast_i32x4(ciphertext, (__mmask16)(0xFu << 4 * lane), m->lengths);
            multiply(&sum, ciphertext, _mm512_maskz_loadu_epi64(words, srtp_gcm_power(m->key, lane + 1)));
        }
    }
    const __m128i mask = _mm512_extracti32x4_epi32(stream[count - 1], 3);
    settle(m, sum, carried);
    const __m128i tag = _mm_xor_si128(srtp_gcm_reverse(m->y), mask);
    if (sealed_tag != NULL) {
        _mm_storeu_si128((__m128i *)sealed_tag, tag);
        return 1;
    }
    const __m128i difference = _mm_xor_si128(tag, _mm_loadu_si128((const __m128i *)given_tag));
    if (!_mm_testz_si128(difference, difference))
        return 0;
    for (unsigned i = 0; i < count; i++)
        _mm512_mask_storeu_epi8(out + WIDTH * i, bytes_from(length, WIDTH * i), texts[i]);
    return 1;
}

VAES512_INLINE int finish_any(message *m, const uint8_t *in, uint8_t *out, size_t length, uint8_t *sealed_tag,
                              const uint8_t *given_tag)
{
    switch ((length + SRTP_AES_BLOCK - 1) / SRTP_AES_BLOCK / 4) {
    case 0: return finish(m, in, out, length, 1, sealed_tag, given_tag);
    case 1: return finish(m, in, out, length, 2, sealed_tag, given_tag);
    case 2: return finish(m, in, out, length, 3, sealed_tag, given_tag);
    default: return finish(m, in, out, length, 4, sealed_tag, given_tag);
    }
}

/* All of the text but a rest of at most SHORT, a quarter of a chunk or more at a time. Returns how much. */
VAES512_INLINE size_t bulk(message *m, const uint8_t *in, uint8_t *out, size_t length, const int sealing)
{
    size_t done = 0;
    if (length <= SHORT)
        return 0;
    if (m->lag > 0)
        settle(m, no_product(), carry_over(m, 0));
    for (; length - done >= 4 * WIDTH; done += 4 * WIDTH)
        whole_registers(m, in + done, out + done, 4, sealing);
    if (length - done > SHORT) {
        whole_registers(m, in + done, out + done, 2, sealing);
        done += 2 * WIDTH;
    }
    return done;
}

VAES512_INLINE void seal(const srtp_gcm_key *key, const uint8_t nonce[SRTP_GCM_NONCE], const uint8_t *aad,
                         size_t aad_length, const uint8_t *in, uint8_t *out, size_t length,
                         uint8_t tag[SRTP_GCM_TAG])
{
    message m = begin(key, nonce, aad, aad_length, length);
    const size_t done = bulk(&m, in, out, length, 1);
    finish_any(&m, in + done, out + done, length - done, tag, NULL);
}

VAES512_INLINE int open(const srtp_gcm_key *key, const uint8_t nonce[SRTP_GCM_NONCE], const uint8_t *aad,
                        size_t aad_length, const uint8_t *in, uint8_t *out, size_t length,
                        const uint8_t tag[SRTP_GCM_TAG])
{
    message m = begin(key, nonce, aad, aad_length, length);
    const size_t done = bulk(&m, in, out, length, 0);
    /* bulk() only hashed: the counter has to catch up. */
    const uint32_t done_blocks = (uint32_t)(done / SRTP_AES_BLOCK);
    m.counter = _mm512_add_epi32(m.counter, _mm512_maskz_set1_epi32(0x8888, (int)done_blocks));
    if (!finish_any(&m, in + done, out + done, length - done, NULL, tag))
        return 0;
    if (done > 0) {
        uint8_t counter[SRTP_AES_BLOCK];
        srtp_gcm_counter(counter, nonce, 2);
        srtp_aes_ctr_vaes512(&key->aes, counter, in, out, done);
    }
    return 1;
}

SRTP_GCM_DEFINE(vaes512, VAES512, seal, open)

#endif
