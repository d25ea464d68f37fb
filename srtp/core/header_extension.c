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
        srtp_f8_iv(iv, packet, ssrc, index);
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

/* Where the elements begin in a packet with an extension of RFC 8285; 0 in any other. */
static size_t elements_of(const srtp_rtp_header *header, int *two_byte) {
    *two_byte = (header->profile & 0xfff0) == 0x1000;
    return header->extended && (*two_byte || header->profile == 0xbede) ? 16 + header->csrcs : 0;
}

typedef struct {
    uint8_t id;
    size_t begin;               /* of its data */
    size_t length;
} element;

/* The element at `at`, or after padding there, which moves behind it. 0 at the end of the header, -1 where what follows
 * is none: it is cut off, or its ID or length is reserved, so that nothing behind it is read (RFC 8285 4.1.2, 4.2). */
static int next_element(const uint8_t *packet, size_t end, int two_byte, size_t *at, element *e) {
    size_t i = *at;
    while (i < end && packet[i] == 0) i++; /* of two bytes, too: an ID of 0 is a byte of padding */
    if (i == end) return 0;
    unsigned first = *(const volatile uint8_t *)(packet + i++);
    e->id = (uint8_t)(two_byte ? first : first >> 4);
    if (!two_byte && (e->id == 0 || e->id == 15)) return -1;
    if (two_byte && i == end) return -1;
    e->length = two_byte ? *(const volatile uint8_t *)(packet + i++) : (first & 0x0f) + 1;
    if (e->length > end - i) return -1;
    e->begin = i;
    *at = i + e->length;
    return 1;
}

int srtp_extension_is_sound(const uint8_t *packet, const srtp_rtp_header *header) {
    int two_byte, found = 1;
    size_t at = elements_of(header, &two_byte);
    element e;
    while (at != 0 && (found = next_element(packet, header->length, two_byte, &at, &e)) > 0) continue;
    return found >= 0;
}

void srtp_encrypt_extension(const srtp_context *context, const srtp_session_keys *keys, uint8_t *packet,
                            const srtp_rtp_header *header, uint32_t ssrc, uint64_t index) {
    int two_byte;
    size_t begin = elements_of(header, &two_byte), at = begin;
    if (begin == 0 || context->parameters.shape.cipher == SRTP_NULL_CIPHER) return;
    keystream s = {.context = context, .keys = keys};
    start(&s, packet, ssrc, index);
    element e;
    while (next_element(packet, header->length, two_byte, &at, &e) > 0)
        if (is_encrypted(context, e.id)) encrypt_element(&s, packet + e.begin, e.begin - begin, e.length);
    if (context->parameters.shape.cipher == SRTP_AES_F8) srtp_f8_end(&s.f8);
}
