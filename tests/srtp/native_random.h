/* Random numbers and buffers of the native programs. Buffers are allocated to the byte, at odd addresses, so that the
 * address sanitizer sees any access beyond them. */
#ifndef NATIVE_RANDOM_H
#define NATIVE_RANDOM_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random_state;

static inline uint64_t random_word(void) /* xorshift64* */
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545F4914F6CDD1Du;
}

static inline size_t random_below(size_t bound)
{
    return (size_t)((random_word() >> 32) % bound);
}

static inline void fill(uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(random_word() >> 56);
}

/* `length` random bytes that end where the allocation ends, at any alignment. */
typedef struct {
    uint8_t *base;
    uint8_t *bytes;
    size_t length;
} buffer;

static inline buffer random_buffer(size_t length)
{
    const size_t offset = random_below(64);
    buffer b = {malloc(offset + length > 0 ? offset + length : 1), NULL, length};
    b.bytes = b.base + offset;
    fill(b.bytes, length);
    return b;
}

static inline buffer copy_of(buffer from)
{
    buffer b = random_buffer(from.length);
    if (from.length > 0)
        memcpy(b.bytes, from.bytes, from.length);
    return b;
}

static inline int same(const uint8_t *a, const uint8_t *b, size_t length)
{
    return length == 0 || memcmp(a, b, length) == 0;
}

#endif
