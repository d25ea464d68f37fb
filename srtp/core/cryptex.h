/* Cryptex (RFC 9335): header extensions and CSRCs encrypted with the payload. */
#ifndef SRTP_CRYPTEX_H
#define SRTP_CRYPTEX_H

#include "context.h"
#include "packet.h"

/* What stays in clear: the fixed header and the 4 bytes before the extension. */
#define SRTP_CRYPTEX_CLEAR 16

/* What an extension "defined by profile" is marked with, of one-byte and of two-byte elements (RFC 9335 5). */
enum { SRTP_CRYPTEX_ONE_BYTE = 0xc0de, SRTP_CRYPTEX_TWO_BYTE = 0xc2de };

typedef enum {
    SRTP_CRYPTEX_NOTHING,   /* no header extension and no CSRC, or Cryptex is off */
    SRTP_CRYPTEX_APPLIES,
    SRTP_CRYPTEX_CANNOT,    /* sent: an extension that is not of RFC 8285, or with appbits; received: it is in clear */
} srtp_cryptex_need;

/* Whether a header says that it is encrypted by Cryptex. */
static inline int srtp_cryptex_marked(const srtp_rtp_header *header) {
    return __builtin_expect(header->extended, 0) &&
           (header->profile == SRTP_CRYPTEX_ONE_BYTE || header->profile == SRTP_CRYPTEX_TWO_BYTE);
}

/* For a packet to be sent, which is not marked. */
srtp_cryptex_need srtp_cryptex_sending(const srtp_context *context, const srtp_rtp_header *header);
/* For a received packet: applies, if it says so; cannot, if it should have been sent by Cryptex and was not. */
srtp_cryptex_need srtp_cryptex_received(const srtp_context *context, const srtp_rtp_header *header);

/* Bytes that srtp_cryptex_mark() will add. */
static inline size_t srtp_cryptex_growth(const srtp_rtp_header *header) { return header->extended ? 0 : 4; }
/* Marks the packet as encrypted by Cryptex, and adds an empty extension where it has none; returns its length. */
size_t srtp_cryptex_mark(uint8_t *packet, const srtp_rtp_header *header, size_t length);
void srtp_cryptex_unmark(uint8_t *packet, const srtp_rtp_header *header);

/* Puts the extension's first 4 bytes before the CSRCs, so that what is encrypted is in one piece; and back. */
void srtp_cryptex_gather(uint8_t *packet, const srtp_rtp_header *header);
void srtp_cryptex_scatter(uint8_t *packet, const srtp_rtp_header *header);

#endif
