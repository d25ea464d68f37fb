/* Cryptex (RFC 9335): header extensions and CSRCs encrypted with the payload. */
#ifndef SRTP_CRYPTEX_H
#define SRTP_CRYPTEX_H

#include "context.h"

/* What stays in clear: the fixed header and the 4 bytes before the extension. */
#define SRTP_CRYPTEX_CLEAR 16

typedef enum {
    SRTP_CRYPTEX_NOTHING,   /* no header extension and no CSRC, or Cryptex is off */
    SRTP_CRYPTEX_APPLIES,
    SRTP_CRYPTEX_CANNOT,    /* an extension that is not of RFC 8285, or with appbits */
} srtp_cryptex_need;

/* For a packet to be sent. */
srtp_cryptex_need srtp_cryptex_sending(const srtp_context *context, const uint8_t *packet);
/* For a received packet: applies, if it says so; cannot, if it should have been sent by Cryptex and was not. */
srtp_cryptex_need srtp_cryptex_received(const srtp_context *context, const uint8_t *packet);

/* Bytes that srtp_cryptex_mark() will add. */
size_t srtp_cryptex_growth(const uint8_t *packet);
/* Marks the packet as encrypted by Cryptex, and adds an empty extension where it has none; returns its length. */
size_t srtp_cryptex_mark(uint8_t *packet, size_t length);
void srtp_cryptex_unmark(uint8_t *packet);

/* Puts the extension's first 4 bytes before the CSRCs, so that what is encrypted is in one piece; and back. */
void srtp_cryptex_gather(uint8_t *packet);
void srtp_cryptex_scatter(uint8_t *packet);

#endif
