/* Where the parts of RTP and RTCP packets lie (RFC 3550 5.1, 6.4), and the big-endian integers in them. */
#ifndef SRTP_PACKET_H
#define SRTP_PACKET_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/byte_order.h"

#define SRTP_MAX_PACKET 65535
#define SRTP_RTCP_HEADER 8

static inline uint16_t srtp_load16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t srtp_load32(const uint8_t *p) { return srtp_load_be32(p); }
static inline uint64_t srtp_load64(const uint8_t *p) { return srtp_load_be64(p); }
static inline void srtp_store32(uint8_t *p, uint32_t v) { srtp_store_be32(p, v); }

/* Copies an RTP header, nearly always of 12 bytes. */
static inline void srtp_copy_header(uint8_t *out, const uint8_t *in, size_t length) {
    memcpy(out, in, 12);
    if (__builtin_expect(length > 12, 0)) memcpy(out + 12, in + 12, length - 12);
}

/* What says where the parts of an RTP packet lie. It is read once, before anything else: the packet may lie in memory
 * that another thread is writing. */
typedef struct {
    uint32_t length;            /* with CSRCs and extension */
    uint16_t profile;           /* "defined by profile" of the extension, if there is one */
    uint8_t csrcs;              /* bytes of CSRCs */
    uint8_t extended;
} srtp_rtp_header;

/* Reads an RTP header, which SRTP leaves in clear, and returns its length; 0 when `length` bytes do not hold one, or
 * the version is not 2. */
static inline size_t srtp_parse_rtp_header(const uint8_t *packet, size_t length, srtp_rtp_header *header) {
    if (length < 12) return 0;
    unsigned first = *(const volatile uint8_t *)packet;
    if (first >> 6 != 2) return 0;
    size_t clear = 12 + 4 * (size_t)(first & 0x0f);
    header->csrcs = (uint8_t)(clear - 12);
    header->extended = (uint8_t)(first >> 4 & 1);
    if (header->extended) {
        if (length < clear + 4) return 0;
        const volatile uint8_t *extension = packet + clear;
        header->profile = (uint16_t)(extension[0] << 8 | extension[1]);
        clear += 4 + 4 * (size_t)(extension[2] << 8 | extension[3]);
    }
    if (clear > length) return 0;
    return header->length = (uint32_t)clear;
}

static inline int srtp_is_rtp(const uint8_t *packet, size_t length) {
    srtp_rtp_header header;
    return srtp_parse_rtp_header(packet, length, &header) != 0;
}

/* 1 when `length` bytes can be an RTCP packet: version 2, a header of 8 bytes, a packet type of RTCP,
 * and the first packet of the compound not longer than the whole. */
int srtp_is_rtcp(const uint8_t *packet, size_t length);

#endif
