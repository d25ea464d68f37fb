#include "cryptex.h"

#include <string.h>

#include "packet.h"

enum { ONE_BYTE = 0xbede, TWO_BYTE = 0x1000, CRYPTEX_ONE_BYTE = 0xc0de, CRYPTEX_TWO_BYTE = 0xc2de };

static size_t csrcs_of(const uint8_t *packet) { return 4 * (size_t)(packet[0] & 0x0f); }
static int has_extension(const uint8_t *packet) { return packet[0] >> 4 & 1; }
static uint8_t *extension_of(uint8_t *packet) { return packet + 12 + csrcs_of(packet); }
static uint16_t profile_of(const uint8_t *packet) { return srtp_load16(packet + 12 + csrcs_of(packet)); }

static void set_profile(uint8_t *packet, unsigned profile) {
    extension_of(packet)[0] = (uint8_t)(profile >> 8);
    extension_of(packet)[1] = (uint8_t)profile;
}

srtp_cryptex_need srtp_cryptex_sending(const srtp_context *context, const uint8_t *packet) {
    srtp_cryptex_use use = context->parameters.cryptex;
    if (use == SRTP_CRYPTEX_OFF) return SRTP_CRYPTEX_NOTHING;
    if (!has_extension(packet)) return csrcs_of(packet) > 0 ? SRTP_CRYPTEX_APPLIES : SRTP_CRYPTEX_NOTHING;
    uint16_t profile = profile_of(packet);
    if (profile == ONE_BYTE || profile == TWO_BYTE) return SRTP_CRYPTEX_APPLIES;
    return use == SRTP_CRYPTEX_REQUIRED ? SRTP_CRYPTEX_CANNOT : SRTP_CRYPTEX_NOTHING;
}

srtp_cryptex_need srtp_cryptex_received(const srtp_context *context, const uint8_t *packet) {
    srtp_cryptex_use use = context->parameters.cryptex;
    if (use == SRTP_CRYPTEX_OFF) return SRTP_CRYPTEX_NOTHING;
    if (has_extension(packet)) {
        uint16_t profile = profile_of(packet);
        if (profile == CRYPTEX_ONE_BYTE || profile == CRYPTEX_TWO_BYTE) return SRTP_CRYPTEX_APPLIES;
    } else if (csrcs_of(packet) == 0) {
        return SRTP_CRYPTEX_NOTHING;
    }
    return use == SRTP_CRYPTEX_REQUIRED ? SRTP_CRYPTEX_CANNOT : SRTP_CRYPTEX_NOTHING;
}

size_t srtp_cryptex_growth(const uint8_t *packet) { return has_extension(packet) ? 0 : 4; }

size_t srtp_cryptex_mark(uint8_t *packet, size_t length) {
    if (has_extension(packet)) {
        set_profile(packet, profile_of(packet) == ONE_BYTE ? CRYPTEX_ONE_BYTE : CRYPTEX_TWO_BYTE);
        return length;
    }
    uint8_t *extension = extension_of(packet);
    memmove(extension + 4, extension, length - (size_t)(extension - packet));
    packet[0] |= 0x10;
    srtp_store32(extension, 0);
    set_profile(packet, CRYPTEX_ONE_BYTE);
    return length + 4;
}

void srtp_cryptex_unmark(uint8_t *packet) {
    set_profile(packet, profile_of(packet) == CRYPTEX_ONE_BYTE ? ONE_BYTE : TWO_BYTE);
}

void srtp_cryptex_gather(uint8_t *packet) {
    uint8_t first[4];
    memcpy(first, extension_of(packet), 4);
    memmove(packet + SRTP_CRYPTEX_CLEAR, packet + 12, csrcs_of(packet));
    memcpy(packet + 12, first, 4);
}

void srtp_cryptex_scatter(uint8_t *packet) {
    uint8_t first[4];
    memcpy(first, packet + 12, 4);
    memmove(packet + 12, packet + SRTP_CRYPTEX_CLEAR, csrcs_of(packet));
    memcpy(extension_of(packet), first, 4);
}
