/* Median ns per packet of each kernel of each table, by payload size, on one CPU. The measurements take turns
 * (one short run of each, again and again), so that a slow moment of the machine falls on all alike.
 *
 *   kernel_bench [ROUNDS [TABLE ...]]
 *
 * A packet has a 12-byte header before its payload; HMAC covers both and a 4-byte ROC; GCM has the header as AAD. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/kernels.h"

#define HEADER 12
#define MAX_PACKETS 64
#define MAX_PAYLOAD 1200
#define STRIDE 1280
#define MAX_CASES 1024
#define RUN_NS 50000

/* 0 stands for the mixture: all lengths from 20 to 1200 in no order, on average 610, with sixteen keys in turn. */
static const size_t PAYLOADS[] = {20, 160, 610, 1200, 0};
#define PAYLOAD_COUNT (sizeof PAYLOADS / sizeof PAYLOADS[0])
#define KEYS 16

/* Payload length of packet i, and the key that it is under. */
static size_t length_of(size_t payload, size_t i)
{
    return payload > 0 ? payload : 20 + 1180 * (37 * i % MAX_PACKETS) / (MAX_PACKETS - 1);
}

static size_t key_of(size_t payload, size_t i)
{
    return payload > 0 ? 0 : i % KEYS;
}

/* What a measured function works on, made once for each table. */
typedef struct {
    const srtp_kernels *k;
    srtp_aes_key aes[KEYS];
    srtp_hmac_sha1_key hmac[KEYS];
    srtp_gcm_key gcm[KEYS];
    srtp_aes_ctr_job ctr_jobs[MAX_PACKETS];
    srtp_hmac_sha1_job hmac_jobs[MAX_PACKETS];
    uint8_t packets[MAX_PACKETS * STRIDE] __attribute__((aligned(4096)));
} workload;

static const uint8_t roc[4] = {0, 0, 0, 1};
static uint32_t packet_index;

/* A fresh IV by 8-byte stores, as the transforms write it. */
static void next_iv(uint8_t iv[16])
{
    const uint64_t words[2] = {0x0123456789ABCDEFu, __builtin_bswap64((uint64_t)++packet_index << 16)};
    memcpy(iv, words, 8);
    memcpy(iv + 8, words + 1, 8);
}

static void ctr_one(workload *w, size_t payload, size_t count)
{
    uint8_t iv[16];
    for (size_t i = 0; i < count; i++) {
        uint8_t *packet = w->packets + STRIDE * i + HEADER;
        next_iv(iv);
        w->k->aes_ctr(&w->aes[key_of(payload, i)], iv, packet, packet, length_of(payload, i));
    }
}

static void hmac_one(workload *w, size_t payload, size_t count)
{
    uint8_t tag[SRTP_SHA1_DIGEST];
    for (size_t i = 0; i < count; i++) {
        uint8_t *packet = w->packets + STRIDE * i;
        const size_t length = HEADER + length_of(payload, i);
        w->k->hmac_sha1(&w->hmac[key_of(payload, i)], packet, length, roc, 4, tag);
        memcpy(packet + length, tag, 10);
    }
}

static void protect_one(workload *w, size_t payload, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t iv[16], tag[SRTP_SHA1_DIGEST], *packet = w->packets + STRIDE * i;
        const size_t length = length_of(payload, i), key = key_of(payload, i);
        next_iv(iv);
        w->k->aes_ctr(&w->aes[key], iv, packet + HEADER, packet + HEADER, length);
        w->k->hmac_sha1(&w->hmac[key], packet, HEADER + length, roc, 4, tag);
        memcpy(packet + HEADER + length, tag, 10);
    }
}

static void ctr_batch(workload *w, size_t payload, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t *packet = w->packets + STRIDE * i + HEADER;
        w->ctr_jobs[i].key = &w->aes[key_of(payload, i)];
        w->ctr_jobs[i].in = w->ctr_jobs[i].out = packet;
        w->ctr_jobs[i].length = length_of(payload, i);
        next_iv(w->ctr_jobs[i].iv);
    }
    w->k->aes_ctr_batch(w->ctr_jobs, count);
}

static void hmac_batch(workload *w, size_t payload, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        srtp_hmac_sha1_job *job = &w->hmac_jobs[i];
        job->key = &w->hmac[key_of(payload, i)];
        job->data = w->packets + STRIDE * i;
        job->length = HEADER + length_of(payload, i);
        job->tail = roc;
        job->tail_length = sizeof roc;
    }
    w->k->hmac_sha1_batch(w->hmac_jobs, count);
    for (size_t i = 0; i < count; i++)
        memcpy(w->packets + STRIDE * i + w->hmac_jobs[i].length, w->hmac_jobs[i].tag, 10);
}

static void protect_batch(workload *w, size_t payload, size_t count)
{
    ctr_batch(w, payload, count);
    hmac_batch(w, payload, count);
}

static void next_nonce(uint8_t nonce[SRTP_GCM_NONCE])
{
    const uint64_t high = 0x0123456789ABCDEFu;
    memcpy(nonce, &high, 8);
    packet_index++;
    memcpy(nonce + 8, &packet_index, 4);
}

static void gcm_one(workload *w, size_t payload, size_t count)
{
    uint8_t nonce[SRTP_GCM_NONCE];
    for (size_t i = 0; i < count; i++) {
        uint8_t *packet = w->packets + STRIDE * i, *text = packet + HEADER;
        const size_t length = length_of(payload, i);
        next_nonce(nonce);
        w->k->gcm_seal(&w->gcm[key_of(payload, i)], nonce, packet, HEADER, text, text, length, text + length);
    }
}

typedef struct {
    const char *name;
    void (*run)(workload *w, size_t payload, size_t count);
    size_t packets; /* in one call */
} function;

static const function FUNCTIONS[] = {
    {"ctr, one at a time", ctr_one, 64},
    {"hmac, one at a time", hmac_one, 64},
    {"ctr + hmac, one at a time", protect_one, 64},
    {"ctr, batch 64", ctr_batch, 64},
    {"hmac, batch 2", hmac_batch, 2},
    {"hmac, batch 4", hmac_batch, 4},
    {"hmac, batch 8", hmac_batch, 8},
    {"hmac, batch 12", hmac_batch, 12},
    {"hmac, batch 16", hmac_batch, 16},
    {"hmac, batch 64", hmac_batch, 64},
    {"ctr + hmac, batch 4", protect_batch, 4},
    {"ctr + hmac, batch 64", protect_batch, 64},
    {"gcm seal, one at a time", gcm_one, 64},
};
#define FUNCTION_COUNT (sizeof FUNCTIONS / sizeof FUNCTIONS[0])

typedef struct {
    workload *w;
    const function *f;
    size_t payload;
    size_t repeats;
    double *ns;
} measurement;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static double measure(const measurement *m)
{
    const double start = now_ns();
    for (size_t i = 0; i < m->repeats; i++)
        m->f->run(m->w, m->payload, m->f->packets);
    return (now_ns() - start) / (double)(m->repeats * m->f->packets);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static workload *make_workload(const srtp_kernels *k)
{
    uint8_t key[32] = {1, 2, 3};
    workload *w = aligned_alloc(4096, sizeof *w);
    if (w == NULL)
        exit(2);
    memset(w, 0, sizeof *w);
    w->k = k;
    for (size_t i = 0; i < KEYS; i++) {
        key[0] = (uint8_t)i;
        k->aes_expand(&w->aes[i], key, 16);
        k->gcm_expand(&w->gcm[i], key, 16);
        srtp_hmac_sha1_init(k, &w->hmac[i], key, 20);
    }
    return w;
}

static void pin(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(sched_getcpu(), &set);
    sched_setaffinity(0, sizeof set, &set);
}

static int wanted(const char *name, int argc, char **argv)
{
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return 1;
    return argc <= 2;
}

int main(int argc, char **argv)
{
    static measurement cases[MAX_CASES];
    const size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 201;
    const srtp_kernels *k;
    size_t count = 0;

    pin();
    for (size_t t = 0; (k = srtp_kernels_available(t)) != NULL; t++) {
        workload *w = wanted(k->name, argc, argv) ? make_workload(k) : NULL;
        for (size_t f = 0; w != NULL && f < FUNCTION_COUNT; f++)
            for (size_t p = 0; p < PAYLOAD_COUNT && count < MAX_CASES; p++) {
                measurement *m = &cases[count++];
                *m = (measurement){w, &FUNCTIONS[f], PAYLOADS[p], 1, calloc(rounds, sizeof(double))};
                measure(m); /* the first call is slow, and would pass for enough */
                while (m->repeats < 10000 && measure(m) * (double)(m->repeats * m->f->packets) < RUN_NS)
                    m->repeats *= 2;
            }
    }
    for (size_t round = 0; round < rounds; round++)
        for (size_t c = 0; c < count; c++)
            cases[c].ns[round] = measure(&cases[c]);
    printf("%-12s %-28s %9s %9s %9s %9s %9s\n", "table", "median ns per packet", "20 B", "160 B", "610 B", "1200 B",
           "20-1200 B");
    for (size_t c = 0; c < count; c++) {
        qsort(cases[c].ns, rounds, sizeof(double), by_value);
        if (c % PAYLOAD_COUNT == 0)
            printf("%-12s %-28s", cases[c].w->k->name, cases[c].f->name);
        printf(" %9.1f%s", cases[c].ns[rounds / 2], c % PAYLOAD_COUNT == PAYLOAD_COUNT - 1 ? "\n" : "");
    }
    return 0;
}
