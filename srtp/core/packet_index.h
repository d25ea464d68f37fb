/* The 48-bit packet index of SRTP (RFC 3711 3.3.1 and Appendix A), and what the ciphers make of it. */
#ifndef SRTP_PACKET_INDEX_H
#define SRTP_PACKET_INDEX_H

#include <string.h>

#include "packet.h"
#include "stream.h"

#define SRTP_MAX_ROC 0xffffffffu

/* The index of a packet with this sequence number after one of index `top`; SRTP_INDEX_EXHAUSTED when it would lie
 * after the last one. Where Appendix A would guess a ROC of -1 it is 0, as libsrtp, pion and rtpengine have it: a
 * stream that begins at 100 may go on at 40000. */
static inline srtp_status srtp_index_after(uint64_t top, uint16_t sequence_number, uint64_t *index) {
    uint32_t roc = (uint32_t)(top >> 16);
    int32_t last = (int32_t)(top & 0xffff);
    int32_t now = sequence_number;
    if (last < 0x8000 && now - last > 0x8000) {
        if (roc > 0) roc -= 1; /* before the first cycle there is none: no other index is possible */
    } else if (last >= 0x8000 && last - 0x8000 > now) {
        if (roc == SRTP_MAX_ROC) return SRTP_INDEX_EXHAUSTED;
        roc += 1;
    }
    *index = (uint64_t)roc << 16 | sequence_number;
    return SRTP_OK;
}

/* The index of a packet of this stream; NULL is one not met before, whose ROC is 0. The ROC of a stream's first packet,
 * and of the next one after it was set, is not guessed. */
static inline srtp_status srtp_estimate_index(const srtp_stream *stream, uint16_t sequence_number, uint64_t *index) {
    if (stream != NULL && !stream->pinned)
        return srtp_index_after(stream->rtp.window.top, sequence_number, index);
    *index = (uint64_t)(stream == NULL ? 0 : stream->initial_roc) << 16 | sequence_number;
    return SRTP_OK;
}

/* RFC 3711 4.1.1: (salt * 2^16) xor (ssrc * 2^64) xor (index * 2^16). By two stores of 8 bytes: the kernel's load of
 * 16 then need not wait for byte stores. */
static inline void srtp_counter_block(const srtp_salt *salt, uint32_t ssrc, uint64_t index, uint8_t block[16]) {
    uint64_t high = SRTP_BE64(salt->high ^ ssrc);
    uint64_t low = SRTP_BE64(salt->low ^ index << 16);
    memcpy(block, &high, 8);
    memcpy(block + 8, &low, 8);
}

/* RFC 7714 8.1 and 9.1: salt xor (0x0000 || ssrc || index of 48 bits). Fills 16 bytes, of which 12 are the nonce. */
static inline void srtp_gcm_nonce(const srtp_salt *salt, uint32_t ssrc, uint64_t index, uint8_t nonce[16]) {
    uint64_t high = SRTP_BE64(salt->high ^ (uint64_t)ssrc << 16 ^ index >> 32);
    uint64_t low = SRTP_BE64(salt->low ^ index << 32);
    memcpy(nonce, &high, 8);
    memcpy(nonce + 8, &low, 8);
}

#endif
