/* libsrtp called from C: one packet after another, in place, each with a sequence number of its own. Median ns per
 * packet, measurements in turns. Prints a line for each: name, then 20, 160 and 1200 bytes of payload.
 *
 *   libsrtp_bench [ROUNDS] */
#define _GNU_SOURCE
#include <srtp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEADER 12
#define PACKETS 64
#define STRIDE 1536

static const size_t PAYLOADS[] = {20, 160, 1200};
#define PAYLOAD_COUNT 3

typedef struct {
    const char *name;
    void (*set)(srtp_crypto_policy_t *policy);
} profile;

static const profile PROFILES[] = {
    {"AES_CM_128_HMAC_SHA1_80", srtp_crypto_policy_set_rtp_default},
    {"AEAD_AES_128_GCM", srtp_crypto_policy_set_aes_gcm_128_16_auth},
};
#define PROFILE_COUNT 2

static uint8_t packets[PACKETS][STRIDE], key[64] = {1, 2, 3};

static void check(int status)
{
    if (status == 0)
        return;
    fprintf(stderr, "libsrtp says %d\n", status);
    exit(1);
}

static srtp_t session(const profile *p, srtp_ssrc_type_t direction)
{
    srtp_policy_t policy;
    srtp_t made;
    memset(&policy, 0, sizeof policy);
    p->set(&policy.rtp);
    p->set(&policy.rtcp);
    policy.ssrc.type = direction;
    policy.key = key;
    policy.window_size = 128;
    check(srtp_create(&made, &policy));
    return made;
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One round: 64 packets protected, then unprotected by another session. */
static void run(srtp_t sender, srtp_t receiver, size_t payload, uint32_t first, double ns[2])
{
    int lengths[PACKETS];
    for (uint32_t i = 0; i < PACKETS; i++) {
        const uint32_t number = first + i;
        const uint8_t header[HEADER] = {0x80, 0, (uint8_t)(number >> 8), (uint8_t)number, 0, 0, 0, 0, 1, 2, 3, 4};
        memcpy(packets[i], header, HEADER);
        lengths[i] = (int)(HEADER + payload);
    }
    double start = now_ns();
    for (size_t i = 0; i < PACKETS; i++)
        check(srtp_protect(sender, packets[i], &lengths[i]));
    ns[0] = (now_ns() - start) / PACKETS;
    start = now_ns();
    for (size_t i = 0; i < PACKETS; i++)
        check(srtp_unprotect(receiver, packets[i], &lengths[i]));
    ns[1] = (now_ns() - start) / PACKETS;
}

int main(int argc, char **argv)
{
    const size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 301;
    double *ns[PROFILE_COUNT][2][PAYLOAD_COUNT];

    check(srtp_init());
    for (size_t p = 0; p < PROFILE_COUNT; p++)
        for (size_t s = 0; s < PAYLOAD_COUNT; s++) {
            srtp_t sender = session(&PROFILES[p], ssrc_any_outbound);
            srtp_t receiver = session(&PROFILES[p], ssrc_any_inbound);
            for (size_t d = 0; d < 2; d++)
                ns[p][d][s] = calloc(rounds, sizeof(double));
            for (size_t round = 0; round < rounds; round++) {
                double found[2];
                run(sender, receiver, PAYLOADS[s], (uint32_t)(round * PACKETS), found);
                ns[p][0][s][round] = found[0];
                ns[p][1][s][round] = found[1];
            }
            srtp_dealloc(sender);
            srtp_dealloc(receiver);
        }
    for (size_t p = 0; p < PROFILE_COUNT; p++)
        for (size_t d = 0; d < 2; d++) {
            printf("libsrtp  %s %s", d == 0 ? "protect" : "unprotect", PROFILES[p].name);
            for (size_t s = 0; s < PAYLOAD_COUNT; s++) {
                qsort(ns[p][d][s], rounds, sizeof(double), by_value);
                printf(" %.1f", ns[p][d][s][rounds / 2]);
            }
            printf("\n");
        }
    return 0;
}
