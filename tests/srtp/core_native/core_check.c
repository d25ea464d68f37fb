/* Checks the core from C, table by table.
 *
 *   core_check vectors              runs the cases on standard input on every table
 *   core_check random SEED          compares tables, and batches with single calls, on random packets
 *
 * A case is a line of words, bytes in hexadecimal and "-" for none:
 *   derive CIPHER MASTER_KEY MASTER_SALT KEY SALT AUTHENTICATION_KEY      (CIPHER: a byte, the srtp_cipher)
 *   f8 KEY SALT IV PLAIN ENCRYPTED
 *   gcm_rtp KEY SALT PLAIN PROTECTED                                      (session key and salt, ROC 0)
 *   gcm_rtcp KEY SALT ESRTCP_WORD PLAIN PROTECTED
 * Exits 1 with a line on standard error for each difference. */
#define _POSIX_C_SOURCE 200809L
#include "core_check.h"

#include "../native_words.h"
#include "core/rtcp_aead.h"

static unsigned long failures;

void report_difference(const char *table, const char *what, size_t length, size_t detail)
{
    failures++;
    fprintf(stderr, "%s: %s differs (length %zu, %zu)\n", table, what, length, detail);
}

static srtp_salt salt_of(const bytes salt)
{
    uint8_t padded[16] = {0};
    memcpy(padded, salt.bytes, salt.length);
    return (srtp_salt){srtp_load64(padded), srtp_load64(padded + 8)};
}

static void check_derive(const srtp_kernels *k, const bytes arguments[])
{
    const bytes key = arguments[3], salt = arguments[4], authentication = arguments[5];
    const srtp_key_shape shape = {(srtp_cipher)arguments[0].bytes[0], arguments[1].length, arguments[2].length, 0};
    static const uint8_t block[16] = {1, 2, 3};
    const srtp_salt expected_salt = salt_of(salt);
    srtp_derivation derivation;
    srtp_hmac_sha1_key hmac;
    srtp_aes_key aes;
    uint8_t found[16], expected[16];

    srtp_derivation_init(k, &derivation, arguments[1].bytes, arguments[2].bytes, &shape);
    srtp_session_keys *keys = srtp_session_keys_new(k, &derivation, &shape, 0, 0);
    k->aes_expand(&aes, key.bytes, key.length);
    k->aes_encrypt_block(&aes, block, expected);
    k->aes_encrypt_block(shape.cipher == SRTP_AES_GCM ? &keys->gcm.aes : &keys->aes, block, found);
    if (memcmp(found, expected, sizeof found) != 0)
        report_difference(k->name, "derived encryption key", key.length, 0);
    if (memcmp(&keys->salt, &expected_salt, sizeof expected_salt) != 0)
        report_difference(k->name, "derived salt", salt.length, 0);
    srtp_hmac_sha1_init(k, &hmac, authentication.bytes, authentication.length);
    if (memcmp(&keys->authentication, &hmac, sizeof hmac) != 0)
        report_difference(k->name, "derived authentication key", authentication.length, 0);
    srtp_session_keys_free(keys, &shape);
}

static void check_f8(const srtp_kernels *k, const bytes arguments[])
{
    const bytes key = arguments[0], salt = arguments[1], in = arguments[3], out = arguments[4];
    uint8_t mask[32], *found = malloc(in.length);
    srtp_aes_key aes, masked;
    srtp_f8 f8;

    memset(mask, 0x55, sizeof mask);
    memcpy(mask, salt.bytes, salt.length);
    for (size_t i = 0; i < key.length; i++)
        mask[i] ^= key.bytes[i];
    k->aes_expand(&aes, key.bytes, key.length);
    k->aes_expand(&masked, mask, key.length);
    /* From each place on: what lies before is skipped. */
    for (size_t skipped = 0; skipped < in.length; skipped++) {
        srtp_f8_start(&f8, k, &aes, &masked, arguments[2].bytes);
        srtp_f8_skip(&f8, skipped);
        srtp_f8_xor(&f8, in.bytes + skipped, found + skipped, in.length - skipped);
        srtp_f8_end(&f8);
        if (memcmp(found + skipped, out.bytes + skipped, in.length - skipped) != 0)
            report_difference(k->name, "f8", in.length, skipped);
    }
    free(found);
}

/* A direction whose session keys are given: the vectors of RFC 7714 do not derive theirs. */
static srtp_direction *keyed_direction(const srtp_kernels *k, const bytes key, const bytes salt)
{
    static const uint8_t zeros[32];
    const core_profile profile = {SRTP_AES_GCM, key.length, salt.length, SRTP_GCM_TAG, SRTP_GCM_TAG};
    const srtp_parameters parameters = core_parameters(&profile);
    srtp_context *context = srtp_context_new(k, &parameters);
    srtp_master_key *master = core_add_key(context, zeros, zeros, NULL);
    srtp_session_keys *both[] = {master->rtp, master->rtcp};
    for (size_t i = 0; i < 2; i++) {
        k->gcm_expand(&both[i]->gcm, key.bytes, key.length);
        both[i]->salt = salt_of(salt);
    }
    return srtp_direction_new(context);
}

static void check_operation(const char *table, const char *what, srtp_direction *direction, srtp_operation operation,
                            const bytes in, const bytes expected)
{
    uint8_t *out = malloc(expected.length);
    srtp_packet packet = {.in = in.bytes, .out = out, .length = in.length, .capacity = expected.length};
    if (operation(direction, &packet) != SRTP_OK || packet.out_length != expected.length
        || memcmp(out, expected.bytes, expected.length) != 0)
        report_difference(table, what, in.length, packet.status);
    free(out);
}

static void check_gcm_rtp(const srtp_kernels *k, const bytes arguments[])
{
    srtp_direction *sender = keyed_direction(k, arguments[0], arguments[1]);
    srtp_direction *receiver = keyed_direction(k, arguments[0], arguments[1]);
    check_operation(k->name, "SRTP", sender, srtp_protect, arguments[2], arguments[3]);
    check_operation(k->name, "RTP", receiver, srtp_unprotect, arguments[3], arguments[2]);
    srtp_direction_free(sender);
    srtp_direction_free(receiver);
}

/* Below the checks of RTCP: the packets of RFC 7714 17 say that they are 56 bytes long, and have 52. */
static void check_gcm_rtcp(const srtp_kernels *k, const bytes arguments[])
{
    const bytes plain = arguments[3], protected = arguments[4];
    const uint32_t word = srtp_load32(arguments[2].bytes), ssrc = srtp_load32(plain.bytes + 4);
    srtp_direction *direction = keyed_direction(k, arguments[0], arguments[1]);
    const srtp_session_keys *keys = direction->any->keys->rtcp;
    uint8_t *out = malloc(protected.length);
    memcpy(out, plain.bytes, plain.length);
    srtp_rtcp_seal(direction->any, keys, out, plain.length, ssrc, word);
    srtp_store32(out + plain.length + SRTP_GCM_TAG, word);
    if (memcmp(out, protected.bytes, protected.length) != 0)
        report_difference(k->name, "SRTCP", plain.length, 0);
    if (srtp_rtcp_open(direction->any, keys, protected.bytes, out, plain.length, ssrc, word) != SRTP_OK
        || memcmp(out, plain.bytes, plain.length) != 0)
        report_difference(k->name, "RTCP", plain.length, 0);
    free(out);
    srtp_direction_free(direction);
}

static const struct {
    const char *word;
    unsigned arguments;
    void (*check)(const srtp_kernels *k, const bytes arguments[]);
} CASES[] = {
    {"derive", 6, check_derive},
    {"f8", 5, check_f8},
    {"gcm_rtp", 4, check_gcm_rtp},
    {"gcm_rtcp", 5, check_gcm_rtcp},
};
#define CASE_COUNT (sizeof CASES / sizeof CASES[0])

static int run_vectors(void)
{
    char *line = NULL;
    size_t capacity = 0, cases = 0;
    while (getline(&line, &capacity, stdin) > 0) {
        size_t c = 0;
        const char *word = strtok(line, " \n");
        while (c < CASE_COUNT && (word == NULL || strcmp(word, CASES[c].word) != 0))
            c++;
        if (c == CASE_COUNT) {
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
        const unsigned long accepted = compare_core(k, portable, seed);
        printf("%s: %lu differences, %lu packets received\n", k->name, failures - before, accepted);
    }
    return failures > 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "vectors") == 0)
        return run_vectors();
    if (argc == 3 && strcmp(argv[1], "random") == 0)
        return run_random(strtoull(argv[2], NULL, 10));
    fprintf(stderr, "usage: core_check vectors | random SEED\n");
    return 2;
}
