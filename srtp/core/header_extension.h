/* Encryption of header extension elements (RFC 6904). */
#ifndef SRTP_HEADER_EXTENSION_H
#define SRTP_HEADER_EXTENSION_H

#include "context.h"
#include "packet.h"

/* Whether every element of a packet's extension can be told, as it must be before a packet is sent: of what follows
 * one that is cut off, or whose ID is reserved, nothing would be encrypted. */
int srtp_extension_is_sound(const uint8_t *packet, const srtp_rtp_header *header);

/* Encrypts, or decrypts, the elements that the context's policy names, in place; a packet without an RFC 8285
 * extension stays as it is. */
void srtp_encrypt_extension(const srtp_context *context, const srtp_session_keys *keys, uint8_t *packet,
                            const srtp_rtp_header *header, uint32_t ssrc, uint64_t index);

#endif
