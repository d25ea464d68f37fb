/* Encryption of header extension elements (RFC 6904). */
#ifndef SRTP_HEADER_EXTENSION_H
#define SRTP_HEADER_EXTENSION_H

#include "context.h"

/* Encrypts, or decrypts, the elements that the context's policy names, in place; a packet without an RFC 8285
 * extension stays as it is. `header` is the length of the packet's header, which must lie within the packet. */
void srtp_encrypt_extension(const srtp_context *context, const srtp_session_keys *keys, uint8_t *packet,
                            size_t header, uint32_t ssrc, uint64_t index);

#endif
