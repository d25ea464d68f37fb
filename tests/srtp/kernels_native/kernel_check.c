/* Checks the kernels from C, table by table.
 *
 *   kernel_check tables             the names of the tables this CPU has, best first
 *   kernel_check chosen             the name of the table that is taken by default
 *   kernel_check vectors            runs the cases on standard input on every table
 *   kernel_check random SEED        compares every table with the portable one
 *
 * A case is a line of words: "block KEY IN OUT", "ctr KEY IV IN OUT", "keystream KEY IV START OUT" (START in four
 * bytes), "hmac KEY DATA TAG", "gcm KEY NONCE AAD IN OUT TAG", bytes in hexadecimal and "-" for none. Exits 1 with a
 * line on standard error for each difference. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../native_words.h"
#include "kernel_check.h"

static unsigned long failures;

void report_difference(const char *table, const char *what, size_t length, size_t detail)
{
    failures++;
    fprintf(stderr, "%s: %s differs (length %zu, %zu)\n", table, what, length, detail);
}

static void check_block(const srtp_kernels *k, const bytes arguments[])
{
    srtp_aes_key key;
    uint8_t out[16];
    k->aes_expand(&key, arguments[0].bytes, arguments[0].length);
    k->aes_encrypt_block(&key, arguments[1].bytes, out);
    if (memcmp(out, arguments[2].bytes, 16) != 0)
        report_difference(k->name, "block vector", 16, arguments[0].length);
}

static void check_ctr(const srtp_kernels *k, const bytes arguments[])
{
    srtp_aes_key key;
    const size_t length = arguments[2].length;
    uint8_t *out = malloc(length + 1);
    k->aes_expand(&key, arguments[0].bytes, arguments[0].length);
    /* Every prefix too: a short message is the beginning of a long one. */
    for (size_t n = 0; n <= length; n = n + 1 > 300 && n < length ? length : n + 1) {
        k->aes_ctr(&key, arguments[1].bytes, arguments[2].bytes, out, n);
        if (memcmp(out, arguments[3].bytes, n) != 0)
            report_difference(k->name, "ctr vector", n, length);
    }
    free(out);
}

static void check_keystream(const srtp_kernels *k, const bytes arguments[])
{
    srtp_aes_key key;
    const size_t start = arguments[2].length == 4 ? (size_t)arguments[2].bytes[0] << 24 | arguments[2].bytes[1] << 16
                             | arguments[2].bytes[2] << 8 | arguments[2].bytes[3] : 0;
    const size_t length = start + arguments[3].length;
    uint8_t *stream = calloc(length, 1);
    k->aes_expand(&key, arguments[0].bytes, arguments[0].length);
    k->aes_ctr(&key, arguments[1].bytes, stream, stream, length);
    if (memcmp(stream + start, arguments[3].bytes, arguments[3].length) != 0)
        report_difference(k->name, "keystream vector", length, start);
    free(stream);
}

static void check_hmac(const srtp_kernels *k, const bytes arguments[])
{
    srtp_hmac_sha1_key key;
    uint8_t tag[SRTP_SHA1_DIGEST];
    const uint8_t *data = arguments[1].bytes;
    const size_t length = arguments[1].length;
    srtp_hmac_sha1_init(k, &key, arguments[0].bytes, arguments[0].length);
    /* Cut in two at each place: data and tail. */
    for (size_t n = 0; n <= length; n += length > 300 ? length / 7 : 1) {
        srtp_hmac_sha1(k, &key, data, n, data + n, length - n, tag);
        if (memcmp(tag, arguments[2].bytes, arguments[2].length) != 0)
            report_difference(k->name, "hmac vector", length, n);
    }
}

static void check_gcm(const srtp_kernels *k, const bytes arguments[])
{
    const bytes nonce = arguments[1], aad = arguments[2], in = arguments[3], out = arguments[4], tag = arguments[5];
    srtp_gcm_key key;
    uint8_t result_tag[SRTP_GCM_TAG], *result = malloc(in.length + 1);

    k->gcm_expand(&key, arguments[0].bytes, arguments[0].length);
    k->gcm_seal(&key, nonce.bytes, aad.bytes, aad.length, in.bytes, result, in.length, result_tag);
    if (memcmp(result, out.bytes, in.length) != 0 || memcmp(result_tag, tag.bytes, SRTP_GCM_TAG) != 0)
        report_difference(k->name, "gcm vector", in.length, aad.length);
    if (!k->gcm_open(&key, nonce.bytes, aad.bytes, aad.length, out.bytes, result, in.length, tag.bytes)
        || memcmp(result, in.bytes, in.length) != 0)
        report_difference(k->name, "gcm vector, opened", in.length, aad.length);
    free(result);
}

static const struct {
    const char *word;
    unsigned arguments;
    void (*check)(const srtp_kernels *k, const bytes arguments[]);
} CASES[] = {
    {"block", 3, check_block}, {"ctr", 4, check_ctr}, {"keystream", 4, check_keystream},
    {"hmac", 3, check_hmac},   {"gcm", 6, check_gcm},
};

static int run_vectors(void)
{
    char *line = NULL;
    size_t capacity = 0, cases = 0;
    while (getline(&line, &capacity, stdin) > 0) {
        size_t c = 0;
        const char *word = strtok(line, " \n");
        while (c < sizeof CASES / sizeof CASES[0] && (word == NULL || strcmp(word, CASES[c].word) != 0))
            c++;
        if (c == sizeof CASES / sizeof CASES[0]) {
            fprintf(stderr, "no such case: %s\n", word ? word : "(empty)");
            return 2;
        }
        bytes arguments[6];
        for (unsigned i = 0; i < CASES[c].arguments; i++)
            arguments[i] = from_hex(strtok(NULL, " \n"));
        const srtp_kernels *k;
        for (size_t i = 0; (k = srtp_kernels_available(i)) != NULL; i++)
            CASES[c].check(k, arguments);
        for (unsigned i = 0; i < CASES[c].arguments; i++)
            free(arguments[i].bytes);
        cases++;
    }
    free(line);
    printf("%zu cases\n", cases);
    return failures > 0;
}

static int run_random(uint64_t seed)
{
    const srtp_kernels *portable = srtp_kernels_select("portable"), *k;
    if (portable == NULL || seed == 0)
        return 2;
    for (size_t i = 0; (k = srtp_kernels_available(i)) != NULL; i++) {
        const unsigned long before = failures;
        compare_random(k, portable, seed);
        printf("%s: %lu differences\n", k->name, failures - before);
    }
    return failures > 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "tables") == 0) {
        const srtp_kernels *k;
        for (size_t i = 0; (k = srtp_kernels_available(i)) != NULL; i++)
            puts(k->name);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "chosen") == 0) {
        const srtp_kernels *k = srtp_kernels_select(NULL);
        return k == NULL || puts(k->name) == EOF;
    }
    if (argc == 2 && strcmp(argv[1], "vectors") == 0)
        return run_vectors();
    if (argc == 3 && strcmp(argv[1], "random") == 0)
        return run_random(strtoull(argv[2], NULL, 10));
    fprintf(stderr, "usage: kernel_check tables | chosen | vectors | random SEED\n");
    return 2;
}
