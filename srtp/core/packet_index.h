/* The 48-bit packet index of SRTP (RFC 3711 3.3.1 and Appendix A) and the counter block made of it (4.1.1). */
#ifndef SRTP_PACKET_INDEX_H
#define SRTP_PACKET_INDEX_H

#include "direction.h"

#define SRTP_MAX_ROC 0xffffffffu
#define SRTP_MAX_RTCP_INDEX 0x7fffffffu

/* The index of a packet with this sequence number. `stream` NULL is one not met before, whose ROC is 0.
 * SRTP_TOO_OLD when it would lie before the first index, SRTP_INDEX_EXHAUSTED when after the last. */
srtp_status srtp_estimate_index(const srtp_stream *stream, uint16_t sequence_number, uint64_t *index);

/* The counter block: (salt * 2^16) xor (ssrc * 2^64) xor (index * 2^16). */
void srtp_counter_block(const srtp_session_keys *keys, uint32_t ssrc, uint64_t index, uint8_t block[16]);

#endif
