/* Loads and stores of words at any address, in a stated byte order. */
#ifndef SRTP_BYTE_ORDER_H
#define SRTP_BYTE_ORDER_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SRTP_LE32(x) (x)
#define SRTP_LE64(x) (x)
#define SRTP_BE32(x) __builtin_bswap32(x)
#define SRTP_BE64(x) __builtin_bswap64(x)
#else
#define SRTP_LE32(x) __builtin_bswap32(x)
#define SRTP_LE64(x) __builtin_bswap64(x)
#define SRTP_BE32(x) (x)
#define SRTP_BE64(x) (x)
#endif

static inline uint32_t srtp_load_le32(const uint8_t *p)
{
    uint32_t x;
    memcpy(&x, p, 4);
    return SRTP_LE32(x);
}

static inline void srtp_store_le32(uint8_t *p, uint32_t x)
{
    x = SRTP_LE32(x);
    memcpy(p, &x, 4);
}

static inline void srtp_store_le64(uint8_t *p, uint64_t x)
{
    x = SRTP_LE64(x);
    memcpy(p, &x, 8);
}

static inline uint32_t srtp_load_be32(const uint8_t *p)
{
    uint32_t x;
    memcpy(&x, p, 4);
    return SRTP_BE32(x);
}

static inline void srtp_store_be32(uint8_t *p, uint32_t x)
{
    x = SRTP_BE32(x);
    memcpy(p, &x, 4);
}

static inline uint64_t srtp_load_be64(const uint8_t *p)
{
    uint64_t x;
    memcpy(&x, p, 8);
    return SRTP_BE64(x);
}

static inline void srtp_store_be64(uint8_t *p, uint64_t x)
{
    x = SRTP_BE64(x);
    memcpy(p, &x, 8);
}

#endif
