#include "packet.h"

int srtp_is_rtcp(const uint8_t *packet, size_t length) {
    /* RFC 5761 4: RTCP packet types are 192 to 223 of the second byte. The header of the compound's first packet
     * stays in clear, and with it that packet's length. */
    return length >= SRTP_RTCP_HEADER && packet[0] >> 6 == 2 && packet[1] >= 192 && packet[1] <= 223 &&
           4 + 4 * (size_t)srtp_load16(packet + 2) <= length;
}
