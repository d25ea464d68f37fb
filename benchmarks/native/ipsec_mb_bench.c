/* The same work as kernel_bench.c by Intel's multi-buffer library (Debian: libipsec-mb-dev): its job API with AES-CTR
 * and HMAC-SHA1 in batches of 64, and its direct GCM functions. Median ns per packet, pinned, measurements in turns.
 * Prints a line for each: name, then 20, 160 and 1200 bytes of payload.
 *
 *   ipsec_mb_bench [ROUNDS] */
#define _GNU_SOURCE
#include <intel-ipsec-mb.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEADER 12
#define PACKETS 64
#define STRIDE 1280
#define ROC 4

static const size_t PAYLOADS[] = {20, 160, 1200};
#define PAYLOAD_COUNT 3

static IMB_MGR *manager;
static uint8_t packets[PACKETS * STRIDE], ivs[PACKETS][16], tags[PACKETS][20];
static DECLARE_ALIGNED(uint32_t encryption_keys[60], 16);
static DECLARE_ALIGNED(uint32_t decryption_keys[60], 16);
static uint8_t inner[20], outer[20];
static struct gcm_key_data gcm_key;

/* Packets come fresh, as they do from a socket. */
static void fill(void)
{
    for (size_t i = 0; i < sizeof packets; i++)
        packets[i] = (uint8_t)i;
}

static void one_block(const uint8_t key[16], uint8_t pad, uint8_t state[20])
{
    uint8_t block[64];
    memset(block, pad, sizeof block);
    for (unsigned i = 0; i < 16; i++)
        block[i] ^= key[i];
    IMB_SHA1_ONE_BLOCK(manager, block, state);
}

static void finish(const IMB_JOB *job)
{
    if (job != NULL && job->status != IMB_STATUS_COMPLETED) {
        fprintf(stderr, "a job failed\n");
        exit(1);
    }
}

static void fill_job(IMB_JOB *job, size_t i, size_t payload)
{
    uint8_t *packet = packets + STRIDE * i;
    memset(packet + HEADER + payload, 1, ROC);
    ivs[i][12]++;
    job->cipher_mode = IMB_CIPHER_CNTR;
    job->cipher_direction = IMB_DIR_ENCRYPT;
    job->chain_order = IMB_ORDER_CIPHER_HASH;
    job->hash_alg = IMB_AUTH_HMAC_SHA_1;
    job->enc_keys = encryption_keys;
    job->dec_keys = decryption_keys;
    job->key_len_in_bytes = 16;
    job->iv = ivs[i];
    job->iv_len_in_bytes = 16;
    job->src = packet;
    job->dst = packet + HEADER;
    job->cipher_start_src_offset_in_bytes = HEADER;
    job->msg_len_to_cipher_in_bytes = payload;
    job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_hash_in_bytes = HEADER + payload + ROC;
    job->auth_tag_output = tags[i];
    job->auth_tag_output_len_in_bytes = 12;
    job->u.HMAC._hashed_auth_key_xor_ipad = inner;
    job->u.HMAC._hashed_auth_key_xor_opad = outer;
}

static void protect_batch(size_t payload)
{
    for (size_t i = 0; i < PACKETS; i++) {
        IMB_JOB *job = IMB_GET_NEXT_JOB(manager);
        fill_job(job, i, payload);
        finish(IMB_SUBMIT_JOB_NOCHECK(manager));
    }
    for (IMB_JOB *job; (job = IMB_FLUSH_JOB(manager)) != NULL;)
        finish(job);
    for (size_t i = 0; i < PACKETS; i++)
        memcpy(packets + STRIDE * i + HEADER + payload, tags[i], 10);
}

static void gcm_seal(size_t payload)
{
    struct gcm_context_data context;
    for (size_t i = 0; i < PACKETS; i++) {
        uint8_t *packet = packets + STRIDE * i, *text = packet + HEADER;
        ivs[i][11]++;
        IMB_AES128_GCM_ENC(manager, &gcm_key, &context, text, text, payload, ivs[i], packet,
                           HEADER, text + payload, 16);
    }
}

static void gcm_open(size_t payload)
{
    struct gcm_context_data context;
    for (size_t i = 0; i < PACKETS; i++) {
        uint8_t *packet = packets + STRIDE * i, *text = packet + HEADER;
        IMB_AES128_GCM_DEC(manager, &gcm_key, &context, text, text, payload, ivs[i], packet,
                           HEADER, tags[i], 16);
    }
}

static const struct {
    const char *name;
    void (*run)(size_t payload);
} FUNCTIONS[] = {
    {"protect AES_CM_128_HMAC_SHA1_80", protect_batch},
    {"protect AEAD_AES_128_GCM", gcm_seal},
    {"unprotect AEAD_AES_128_GCM", gcm_open},
};
#define FUNCTION_COUNT 3

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

int main(int argc, char **argv)
{
    const size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 201;
    static const uint8_t key[16] = {1, 2, 3};
    double *ns[FUNCTION_COUNT][PAYLOAD_COUNT];
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(sched_getcpu(), &set);
    sched_setaffinity(0, sizeof set, &set);
    manager = alloc_mb_mgr(0);
    if (manager == NULL)
        return 1;
    init_mb_mgr_auto(manager, NULL);
    IMB_AES_KEYEXP_128(manager, key, encryption_keys, decryption_keys);
    IMB_AES128_GCM_PRE(manager, key, &gcm_key);
    one_block(key, 0x36, inner);
    one_block(key, 0x5C, outer);
    for (size_t f = 0; f < FUNCTION_COUNT; f++)
        for (size_t p = 0; p < PAYLOAD_COUNT; p++)
            ns[f][p] = calloc(rounds, sizeof(double));
    for (size_t round = 0; round < rounds; round++)
        for (size_t f = 0; f < FUNCTION_COUNT; f++)
            for (size_t p = 0; p < PAYLOAD_COUNT; p++) {
                fill();
                const double start = now_ns();
                FUNCTIONS[f].run(PAYLOADS[p]);
                ns[f][p][round] = (now_ns() - start) / PACKETS;
            }
    for (size_t f = 0; f < FUNCTION_COUNT; f++) {
        printf("ipsec-mb  %s", FUNCTIONS[f].name);
        for (size_t p = 0; p < PAYLOAD_COUNT; p++) {
            qsort(ns[f][p], rounds, sizeof(double), by_value);
            printf(" %.1f", ns[f][p][rounds / 2]);
        }
        printf("\n");
    }
    free_mb_mgr(manager);
    return 0;
}
