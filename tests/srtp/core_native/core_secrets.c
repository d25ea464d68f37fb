/* Looks for branches and addresses that depend on secrets in the way of whole packets, under valgrind's memcheck:
 * master keys and salts are undefined, so all that is derived from them is, and so are payloads; what goes over the
 * wire is defined again.
 *
 *   core_secrets TABLE              every cipher and rule; silent if they pass
 *   core_secrets TABLE key|payload  branches on a secret on purpose, to show that it is marked
 *
 * Exits 3 where the table is not available (valgrind hides what it cannot run). */
#include "core_check.h"

#include <stdio.h>
#include <stdlib.h>

#include "../native_secrets.h"

#define ROOM 600
#define COUNT 20

static srtp_parameters parameters_of(const core_profile *profile, size_t rule)
{
    srtp_parameters p = core_parameters(profile);
    if (rule == 1)
        p.key_derivation_rate = 2;
    if (rule == 2 && profile->cipher != SRTP_NULL_CIPHER) { /* RFC 6904 */
        p.shape.header_keys = 1;
        p.encrypted_extensions[0] = 1 << 1 | 1 << 3;
    }
    if (rule == 3 && profile->cipher != SRTP_NULL_CIPHER)
        p.cryptex = SRTP_CRYPTEX_REQUIRED;
    if (rule == 4)
        p.allow_repeat_tx = 1;
    if (rule == 5 && profile->rtp_tag_length == 10) {
        p.roc_mode = 2;
        p.roc_rate = 2;
    }
    if (rule == 6)
        p.encrypt_rtcp = 0;
    return p;
}

static srtp_direction *direction_of(const srtp_kernels *k, const srtp_parameters *parameters)
{
    uint8_t key[32] = {1, 2, 3}, salt[16] = {4, 5, 6};
    SECRET(key);
    SECRET(salt);
    srtp_context *context = srtp_context_new(k, parameters);
    core_add_key(context, key, salt, NULL);
    return srtp_direction_new(context);
}

/* A packet with a CSRC and a header extension of two elements, all that may be encrypted secret. */
static size_t make_packet(uint8_t *packet, uint8_t number, size_t payload, int cryptex)
{
    static const uint8_t HEADER[] = {0x91, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 'c', 's', 'r', 'c', 0xBE, 0xDE, 0, 2,
                                     0x11, 's', 'e', 0x31, 'c', 'r', 0, 0};
    memcpy(packet, HEADER, sizeof HEADER);
    packet[3] = number;
    for (size_t i = 0; i < payload; i++)
        packet[sizeof HEADER + i] = (uint8_t)i;
    if (cryptex) { /* the elements' IDs and lengths are secret as well */
        VALGRIND_MAKE_MEM_UNDEFINED(packet + 12, 4);
        VALGRIND_MAKE_MEM_UNDEFINED(packet + 20, 8);
    } else {
        VALGRIND_MAKE_MEM_UNDEFINED(packet + 21, 2);
        VALGRIND_MAKE_MEM_UNDEFINED(packet + 24, 2);
    }
    VALGRIND_MAKE_MEM_UNDEFINED(packet + sizeof HEADER, payload);
    return sizeof HEADER + payload;
}

static void must(srtp_status status, const char *what)
{
    if (status != SRTP_OK) {
        fprintf(stderr, "%s: status %d\n", what, (int)status);
        exit(4);
    }
}

static void run_packets(const srtp_kernels *k, const srtp_parameters *parameters)
{
    static uint8_t packets[COUNT][ROOM];
    srtp_packet batch[COUNT];
    srtp_direction *sender = direction_of(k, parameters), *receiver = direction_of(k, parameters);
    for (uint8_t round = 0; round < 3; round++) {
        for (uint8_t i = 0; i < COUNT; i++) {
            const size_t length = make_packet(packets[i], (uint8_t)(round * COUNT + i), (size_t)i * 21,
                                              parameters->cryptex != SRTP_CRYPTEX_OFF);
            batch[i] = (srtp_packet){.in = packets[i], .out = packets[i], .length = length, .capacity = ROOM};
        }
        if (round == 1)
            srtp_protect_batch(sender, batch, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            must(round == 1 ? batch[i].status : srtp_protect(sender, &batch[i]), "protect");
            batch[i].length = batch[i].out_length;
            (void)VALGRIND_MAKE_MEM_DEFINED(packets[i], batch[i].length);
        }
        packets[5][batch[5].length - 1] ^= 1; /* a forged one among them */
        if (round == 1)
            srtp_unprotect_batch(receiver, batch, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            const srtp_status status = round == 1 ? batch[i].status : srtp_unprotect(receiver, &batch[i]);
            if (i == 5 ? status != SRTP_AUTH_FAILED : status != SRTP_OK)
                must(status == SRTP_OK ? SRTP_AUTH_FAILED : status, "unprotect");
        }
    }
    if (parameters->allow_repeat_tx) { /* the fingerprints of tags are compared */
        const size_t length = make_packet(packets[0], 3 * COUNT - 1, 19 * 21, 0);
        srtp_packet again = {.in = packets[0], .out = packets[0], .length = length, .capacity = ROOM};
        must(srtp_protect(sender, &again), "protect again");
    }
    srtp_direction_free(sender);
    srtp_direction_free(receiver);
}

static void run_rtcp(const srtp_kernels *k, const srtp_parameters *parameters)
{
    uint8_t packet[ROOM] = {0x80, 200, 0, 10, 0, 0, 0, 7};
    srtp_direction *sender = direction_of(k, parameters), *receiver = direction_of(k, parameters);
    for (size_t i = 0; i < 4; i++) {
        (void)VALGRIND_MAKE_MEM_UNDEFINED(packet + SRTP_RTCP_HEADER, 36);
        srtp_packet p = {.in = packet, .out = packet, .length = 44, .capacity = ROOM};
        must(srtp_protect_rtcp(sender, &p), "protect_rtcp");
        p.length = p.out_length;
        (void)VALGRIND_MAKE_MEM_DEFINED(packet, p.length);
        must(srtp_unprotect_rtcp(receiver, &p), "unprotect_rtcp");
    }
    srtp_direction_free(sender);
    srtp_direction_free(receiver);
}

/* Branches on what is to be secret, so that a marking that is lost would be noticed. */
static int leak(const srtp_kernels *k, const char *where)
{
    const srtp_parameters parameters = parameters_of(&CORE_PROFILES[0], 0);
    srtp_direction *sender = direction_of(k, &parameters);
    uint8_t packet[ROOM];
    const size_t length = make_packet(packet, 1, 40, 0);
    srtp_packet p = {.in = packet, .out = packet, .length = length, .capacity = ROOM};
    must(srtp_protect(sender, &p), "protect");
    if (strcmp(where, "key") == 0 ? sender->any->keys->rtp->salt.high & 1 : packet[length - 1] & 1)
        puts("odd");
    return 0;
}

int main(int argc, char **argv)
{
    const srtp_kernels *k = argc < 2 ? NULL : srtp_kernels_select(argv[1]);
    if (k == NULL)
        return 3;
    if (argc > 2)
        return leak(k, argv[2]);
    for (size_t i = 0; i < CORE_PROFILE_COUNT; i++)
        for (size_t rule = 0; rule <= 6; rule++) {
            const srtp_parameters parameters = parameters_of(&CORE_PROFILES[i], rule);
            run_packets(k, &parameters);
            run_rtcp(k, &parameters);
        }
    return 0;
}
