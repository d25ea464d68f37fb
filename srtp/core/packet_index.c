#include "packet_index.h"

#include <string.h>

srtp_status srtp_estimate_index(const srtp_stream *stream, uint16_t sequence_number, uint64_t *index) {
    if (stream == NULL || !stream->rtp.window.started) {
        uint64_t roc = stream == NULL ? 0 : stream->initial_roc;
        *index = roc << 16 | sequence_number;
        return SRTP_OK;
    }
    uint64_t top = stream->rtp.window.top;
    uint32_t roc = (uint32_t)(top >> 16);
    int32_t last = (int32_t)(top & 0xffff);
    int32_t now = sequence_number;
    if (last < 0x8000 && now - last > 0x8000) {
        if (roc == 0) return SRTP_TOO_OLD;
        roc -= 1;
    } else if (last >= 0x8000 && last - 0x8000 > now) {
        if (roc == SRTP_MAX_ROC) return SRTP_INDEX_EXHAUSTED;
        roc += 1;
    }
    *index = (uint64_t)roc << 16 | sequence_number;
    return SRTP_OK;
}

static inline uint64_t big_endian(uint64_t v) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return __builtin_bswap64(v);
#else
    return v;
#endif
}

void srtp_counter_block(const srtp_session_keys *keys, uint32_t ssrc, uint64_t index, uint8_t block[16]) {
    /* Two stores of 8 bytes: the kernel's load of 16 then need not wait for byte stores. */
    uint64_t high = big_endian(keys->salt_high ^ ssrc);
    uint64_t low = big_endian(keys->salt_low ^ index << 16);
    memcpy(block, &high, 8);
    memcpy(block + 8, &low, 8);
}
