/* A packet whose header another thread rewrites after it was parsed: nothing may be read or written outside of it, and
 * nothing more be appended than there is room for. The other thread is a kernel that the core calls in between. */
#include "core_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH = 24, ROOM = 64, AROUND = 256, CANARY = 0xa5 };

static const srtp_kernels *real;
static uint8_t memory[AROUND + ROOM + AROUND];
static uint8_t *const packet = memory + AROUND;
static int parsed; /* the other thread may write */
static uint8_t first, last; /* what the first byte and the sequence number's last become */

static void rewrite(void)
{
    if (!parsed) return;
    packet[0] = first;
    packet[3] = last;
}

static void aes_ctr(const srtp_aes_key *key, const uint8_t iv[16], const uint8_t *in, uint8_t *out, size_t length)
{
    rewrite();
    real->aes_ctr(key, iv, in, out, length);
}

static void hmac_sha1(const srtp_hmac_sha1_key *key, const uint8_t *data, size_t length, const uint8_t *tail,
                      size_t tail_length, uint8_t tag[SRTP_SHA1_DIGEST])
{
    real->hmac_sha1(key, data, length, tail, tail_length, tag);
    rewrite();
}

static srtp_direction *direction_of(const srtp_kernels *kernels, const srtp_parameters *parameters)
{
    static const uint8_t key[32], salt[14];
    srtp_context *context = srtp_context_new(kernels, parameters);
    core_add_key(context, key, salt, NULL);
    return srtp_direction_new(context);
}

/* With a capacity of its own each, so that a longer tag has no room. */
static int check(const char *name, const srtp_kernels *kernels, const srtp_parameters *parameters, int sends)
{
    static const uint8_t plain[LENGTH] = {0x90, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 0x10, 'x'};
    srtp_direction *usual = direction_of(real, parameters), *watched = direction_of(kernels, parameters);
    memset(memory, CANARY, sizeof memory);
    memset(packet, 0, ROOM);
    memcpy(packet, plain, LENGTH);
    srtp_packet p = {.in = packet, .out = packet, .length = LENGTH, .capacity = ROOM};
    if (srtp_protect(usual, &p) != SRTP_OK) return fprintf(stderr, "%s: the packet is no good\n", name), 1;
    size_t length = sends ? LENGTH : p.out_length;
    if (sends) memcpy(packet, plain, LENGTH);
    memset(packet + (sends ? p.out_length : length), CANARY, ROOM - (sends ? p.out_length : length));
    size_t capacity = p.out_length;
    p = (srtp_packet){.in = packet, .out = packet, .length = length, .capacity = capacity};
    parsed = 1;
    (sends ? srtp_protect : srtp_unprotect)(watched, &p);
    parsed = 0;
    srtp_direction_free(usual);
    srtp_direction_free(watched);
    int damaged = 0;
    for (size_t i = 0; i < sizeof memory; i++)
        damaged |= (i < AROUND || i >= AROUND + capacity) && memory[i] != CANARY;
    if (damaged) fprintf(stderr, "%s, %s: written outside of the packet\n", name, sends ? "protect" : "unprotect");
    return damaged;
}

int main(void)
{
    real = srtp_kernels_select("portable");
    srtp_kernels watched = *real;
    watched.aes_ctr = aes_ctr;
    watched.hmac_sha1 = hmac_sha1;
    static const uint8_t firsts[] = {0x80, 0x8f, 0x90, 0x91, 0x9f};
    int damaged = 0;
    for (size_t profile = 0; profile < CORE_PROFILE_COUNT; profile++) {
        for (size_t i = 0; i < 2 * sizeof firsts; i++) {
            first = firsts[i / 2];
            last = i % 2 ? 17 : 18;
            for (int sends = 0; sends < 2; sends++) {
                srtp_parameters p = core_parameters(&CORE_PROFILES[profile]);
                p.key_derivation_rate = 1; /* so that keys are derived after the packet was parsed */
                if (p.shape.cipher != SRTP_NULL_CIPHER) {
                    p.cryptex = SRTP_CRYPTEX_ON;
                    damaged |= check("Cryptex", &watched, &p, sends);
                    p.cryptex = SRTP_CRYPTEX_OFF;
                }
                p.shape.header_keys = 1;
                p.encrypted_extensions[0] = 2;
                damaged |= check("RFC 6904", &watched, &p, sends);
                p.shape.header_keys = 0;
                p.roc_rate = 2;
                for (p.roc_mode = 1; p.roc_mode <= 3; p.roc_mode++) {
                    int fits = p.shape.cipher == SRTP_AES_GCM ? p.roc_mode == 3 : p.rtp_tag_length > 4 || p.roc_mode == 3;
                    if (fits) damaged |= check("RFC 4771", &watched, &p, sends);
                }
            }
        }
    }
    return damaged;
}
