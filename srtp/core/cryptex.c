#include "cryptex.h"

#include <string.h>

enum { ONE_BYTE = 0xbede, TWO_BYTE = 0x1000 };

static uint8_t *extension_of(uint8_t *packet, const srtp_rtp_header *header) { return packet + 12 + header->csrcs; }

static void set_profile(uint8_t *packet, const srtp_rtp_header *header, unsigned profile) {
    extension_of(packet, header)[0] = (uint8_t)(profile >> 8);
    extension_of(packet, header)[1] = (uint8_t)profile;
}

srtp_cryptex_need srtp_cryptex_sending(const srtp_context *context, const srtp_rtp_header *header) {
    if (context->parameters.cryptex == SRTP_CRYPTEX_OFF) return SRTP_CRYPTEX_NOTHING;
    if (!header->extended) return header->csrcs > 0 ? SRTP_CRYPTEX_APPLIES : SRTP_CRYPTEX_NOTHING;
    return header->profile == ONE_BYTE || header->profile == TWO_BYTE ? SRTP_CRYPTEX_APPLIES : SRTP_CRYPTEX_CANNOT;
}

srtp_cryptex_need srtp_cryptex_received(const srtp_context *context, const srtp_rtp_header *header) {
    srtp_cryptex_use use = context->parameters.cryptex;
    if (use == SRTP_CRYPTEX_OFF) return SRTP_CRYPTEX_NOTHING;
    if (srtp_cryptex_marked(header)) return SRTP_CRYPTEX_APPLIES;
    if (!header->extended && header->csrcs == 0) return SRTP_CRYPTEX_NOTHING;
    return use == SRTP_CRYPTEX_REQUIRED ? SRTP_CRYPTEX_CANNOT : SRTP_CRYPTEX_NOTHING;
}

size_t srtp_cryptex_mark(uint8_t *packet, const srtp_rtp_header *header, size_t length) {
    if (header->extended) {
        set_profile(packet, header, header->profile == ONE_BYTE ? SRTP_CRYPTEX_ONE_BYTE : SRTP_CRYPTEX_TWO_BYTE);
        return length;
    }
    uint8_t *extension = extension_of(packet, header);
    memmove(extension + 4, extension, length - (size_t)(extension - packet));
    packet[0] |= 0x10;
    srtp_store32(extension, 0);
    set_profile(packet, header, SRTP_CRYPTEX_ONE_BYTE);
    return length + 4;
}

void srtp_cryptex_unmark(uint8_t *packet, const srtp_rtp_header *header) {
    set_profile(packet, header, header->profile == SRTP_CRYPTEX_ONE_BYTE ? ONE_BYTE : TWO_BYTE);
}

void srtp_cryptex_gather(uint8_t *packet, const srtp_rtp_header *header) {
    uint8_t first[4];
    memcpy(first, extension_of(packet, header), 4);
    memmove(packet + SRTP_CRYPTEX_CLEAR, packet + 12, header->csrcs);
    memcpy(packet + 12, first, 4);
}

void srtp_cryptex_scatter(uint8_t *packet, const srtp_rtp_header *header) {
    uint8_t first[4];
    memcpy(first, packet + 12, 4);
    memmove(packet + 12, packet + SRTP_CRYPTEX_CLEAR, header->csrcs);
    memcpy(extension_of(packet, header), first, 4);
}
