#include "header_extension.h"

#include "f8.h"
#include "packet.h"
#include "packet_index.h"

#define LONGEST_ELEMENT 255

/* The keystream of one packet's header extension; it begins with the extension's first element. */
typedef struct {
    const srtp_context *context;
    const srtp_session_keys *keys;
    uint8_t counter_block[SRTP_AES_BLOCK];
    srtp_f8 f8;
    size_t f8_position;
} keystream;

static void start(keystream *s, const uint8_t *packet, uint32_t ssrc, uint64_t index) {
    const srtp_further_keys *further = s->keys->further;
    if (s->context->parameters.shape.cipher == SRTP_AES_F8) {
        uint8_t iv[SRTP_AES_BLOCK];
        srtp_f8_iv(iv, packet, (uint32_t)(index >> 16));
        srtp_f8_start(&s->f8, s->context->kernels, &further->header, &further->header_masked, iv);
        s->f8_position = 0;
    } else {
        srtp_counter_block(&further->header_salt, ssrc, index, s->counter_block);
    }
}

/* One element, `offset` bytes behind the extension's beginning. Elements come by rising offsets. */
static void encrypt_element(keystream *s, uint8_t *element, size_t offset, size_t length) {
    if (s->context->parameters.shape.cipher == SRTP_AES_F8) {
        srtp_f8_skip(&s->f8, offset - s->f8_position);
        srtp_f8_xor(&s->f8, element, element, length);
        s->f8_position = offset + length;
        return;
    }
    uint8_t block[SRTP_AES_BLOCK];
    uint8_t stream[SRTP_AES_BLOCK + LONGEST_ELEMENT] = {0};
    size_t skipped = offset % SRTP_AES_BLOCK;
    size_t first = offset / SRTP_AES_BLOCK; /* below 2^16, which the counter block's last bytes leave to count */
    memcpy(block, s->counter_block, sizeof block);
    block[14] = (uint8_t)(first >> 8);
    block[15] = (uint8_t)first;
    s->context->kernels->aes_ctr(&s->keys->further->header, block, stream, stream, skipped + length);
    for (size_t i = 0; i < length; i++) element[i] ^= stream[skipped + i];
    srtp_wipe(stream, sizeof stream);
}

static int is_encrypted(const srtp_context *context, uint8_t id) {
    return context->parameters.encrypted_extensions[id / 8] >> (id % 8) & 1;
}

void srtp_encrypt_extension(const srtp_context *context, const srtp_session_keys *keys, uint8_t *packet,
                            size_t header, uint32_t ssrc, uint64_t index) {
    if (!(packet[0] & 0x10) || context->parameters.shape.cipher == SRTP_NULL_CIPHER) return;
    size_t begin = 16 + 4 * (size_t)(packet[0] & 0x0f);
    uint16_t profile = srtp_load16(packet + begin - 4);
    int two_byte = (profile & 0xfff0) == 0x1000;
    if (!two_byte && profile != 0xbede) return;
    keystream s = {.context = context, .keys = keys};
    start(&s, packet, ssrc, index);
    for (size_t at = begin; at < header;) {
        uint8_t id = two_byte ? packet[at] : packet[at] >> 4;
        if (packet[at] == 0 || (two_byte && id == 0)) { /* padding */
            at++;
            continue;
        }
        if (!two_byte && id == 15) break; /* RFC 8285 4.2: the rest is ignored */
        if (two_byte && at + 1 == header) break;
        size_t length = two_byte ? packet[at + 1] : (size_t)(packet[at] & 0x0f) + 1;
        at += two_byte ? 2 : 1;
        if (length > header - at) break; /* cut off: no element */
        if (is_encrypted(context, id)) encrypt_element(&s, packet + at, at - begin, length);
        at += length;
    }
    if (context->parameters.shape.cipher == SRTP_AES_F8) srtp_f8_end(&s.f8);
}
