/* Looks for branches and addresses that depend on secrets, as ctgrind does: run under valgrind's memcheck, which
 * reports a jump or an access on undefined bytes, with the secrets marked undefined.
 *
 *   kernel_secrets TABLE            all functions of the table; silent if they pass
 *   kernel_secrets branch|index     leaks on purpose, to show that the method sees it
 *
 * Exits 3 where the table is not available (valgrind hides what it cannot run). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../native_secrets.h"

#define LONGEST 700

static uint8_t text[LONGEST], out[LONGEST];

static void run_aes(const srtp_kernels *k, size_t key_length)
{
    uint8_t key_bytes[32] = {1, 2, 3}, iv[16] = {4, 5, 6};
    srtp_aes_key key;

    SECRET(key_bytes);
    SECRET(iv); /* the session salt is in it */
    SECRET(text);
    k->aes_expand(&key, key_bytes, key_length);
    PUBLIC(key.rounds);
    k->aes_encrypt_block(&key, key_bytes, out);
    for (size_t length = 0; length <= LONGEST; length += length < 140 ? 1 : 37) {
        k->aes_ctr(&key, iv, text, out, length);
        const srtp_aes_ctr_job jobs[] = {{&key, text, out, length, {0}}, {&key, text, text, length / 2, {0}}};
        k->aes_ctr_batch(jobs, 2);
    }
    srtp_wipe(&key, sizeof key);
}

static void run_hmac(const srtp_kernels *k, size_t key_length)
{
    uint8_t key_bytes[80] = {7, 8, 9}, tail[4] = {0}, tag[SRTP_SHA1_DIGEST];
    srtp_hmac_sha1_key key;

    SECRET(key_bytes);
    SECRET(text);
    srtp_hmac_sha1_init(k, &key, key_bytes, key_length);
    for (size_t length = 0; length <= LONGEST; length += length < 140 ? 1 : 37) {
        srtp_hmac_sha1_job jobs[20];
        srtp_hmac_sha1(k, &key, text, length, tail, sizeof tail, tag);
        for (size_t i = 0; i < 20; i++)
            jobs[i] = (srtp_hmac_sha1_job){&key, text, i % 3 ? length : length / 3, tail, sizeof tail, {0}};
        k->hmac_sha1_batch(jobs, 1 + length % 20);
    }
}

static void run_gcm(const srtp_kernels *k, size_t key_length)
{
    uint8_t key_bytes[32] = {1, 2, 3}, nonce[SRTP_GCM_NONCE] = {4}, aad[12] = {5}, tag[SRTP_GCM_TAG];
    srtp_gcm_key key;

    SECRET(key_bytes);
    SECRET(nonce);
    SECRET(text);
    k->gcm_expand(&key, key_bytes, key_length);
    PUBLIC(key.aes.rounds);
    for (size_t length = 0; length <= LONGEST; length += length < 140 ? 1 : 37) {
        k->gcm_seal(&key, nonce, aad, sizeof aad, text, out, length, tag);
        if (!k->gcm_open(&key, nonce, aad, sizeof aad, out, out, length, tag))
            exit(4);
    }
}

static void run_compare(void)
{
    uint8_t expected[SRTP_SHA1_DIGEST] = {0};
    SECRET(expected);
    int equal = srtp_equal(expected, out, sizeof expected);
    out[0] = equal ? 1 : 2;
}

static int leak(const char *how)
{
    static const uint8_t table[256] = {1};
    uint8_t secret = 5;
    SECRET(secret);
    if (strcmp(how, "branch") == 0) {
        if (secret & 1)
            puts("odd");
    } else {
        out[0] = *(const volatile uint8_t *)&table[secret];
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    if (strcmp(argv[1], "branch") == 0 || strcmp(argv[1], "index") == 0)
        return leak(argv[1]);
    const srtp_kernels *k = srtp_kernels_select(argv[1]);
    if (k == NULL)
        return 3;
    for (size_t key_length = 16; key_length <= 32; key_length += 8)
        run_aes(k, key_length);
    for (size_t key_length = 16; key_length <= 32; key_length += 8)
        run_gcm(k, key_length);
    run_hmac(k, 20);
    run_hmac(k, 80);
    run_compare();
    return 0;
}
