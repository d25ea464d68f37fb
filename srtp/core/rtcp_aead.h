/* SRTCP by AES-GCM (RFC 7714 9): packets with E=0 are authenticated too, as associated data. */
#ifndef SRTP_RTCP_AEAD_H
#define SRTP_RTCP_AEAD_H

#include "context.h"

/* `word` is E || index. Seals the packet of `length` bytes that lies in `out`, in place, its tag behind it. */
void srtp_rtcp_seal(const srtp_context *context, const srtp_session_keys *keys, uint8_t *out, size_t length,
                    uint32_t ssrc, uint32_t word);
/* Opens a packet of `length` bytes behind which the tag lies. SRTP_OK, SRTP_AUTH_FAILED or SRTP_NO_MEMORY. */
srtp_status srtp_rtcp_open(const srtp_context *context, const srtp_session_keys *keys, const uint8_t *in, uint8_t *out,
                           size_t length, uint32_t ssrc, uint32_t word);

#endif
