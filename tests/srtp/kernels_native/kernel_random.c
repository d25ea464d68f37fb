/* Random comparisons of one table of kernels with another. */
#include "../native_random.h"
#include "kernel_check.h"

static size_t random_key(uint8_t key[32])
{
    fill(key, 32);
    return 16 + 8 * random_below(3);
}

/* Each length up to 300, and then lengths up to the longest packet. */
static size_t length_of(size_t i)
{
    if (i <= 300)
        return i;
    return i % 16 == 0 ? 65535 - random_below(64) : 300 + random_below(i % 4 == 0 ? 65535 - 300 : 2000);
}
#define LENGTHS 400

static void compare_aes(const srtp_kernels *k, const srtp_kernels *other, size_t length)
{
    uint8_t key_bytes[32], iv[16], block[16], one[16], two[16];
    const size_t key_length = random_key(key_bytes);
    srtp_aes_key key, other_key;
    buffer in = random_buffer(length), expected = random_buffer(length), out = random_buffer(length);

    fill(iv, sizeof iv);
    if (random_below(2))
        iv[14] = iv[15] = 0;
    if (random_below(4) == 0)
        memset(iv + 12, 0xFF, 3); /* the counter wraps */
    k->aes_expand(&key, key_bytes, key_length);
    other->aes_expand(&other_key, key_bytes, key_length);
    fill(block, sizeof block);
    k->aes_encrypt_block(&key, block, one);
    other->aes_encrypt_block(&other_key, block, two);
    if (memcmp(one, two, 16) != 0)
        report_difference(k->name, "block", 16, key_length);
    other->aes_ctr(&other_key, iv, in.bytes, expected.bytes, length);
    k->aes_ctr(&key, iv, in.bytes, out.bytes, length);
    if (!same(out.bytes, expected.bytes, length))
        report_difference(k->name, "ctr", length, key_length);
    k->aes_ctr(&key, iv, in.bytes, in.bytes, length);
    if (!same(in.bytes, expected.bytes, length))
        report_difference(k->name, "ctr in place", length, key_length);
    free(in.base);
    free(expected.base);
    free(out.base);
}

static void compare_hmac(const srtp_kernels *k, const srtp_kernels *other, size_t length)
{
    uint8_t tag[SRTP_SHA1_DIGEST], expected[SRTP_SHA1_DIGEST];
    srtp_hmac_sha1_key key, other_key;
    buffer data = random_buffer(length);
    buffer tail = random_buffer(random_below(2) ? 4 : random_below(random_below(8) ? 40 : 200));
    buffer key_bytes = random_buffer(random_below(2) ? 20 : random_below(200));

    srtp_hmac_sha1_init(k, &key, key_bytes.bytes, key_bytes.length);
    srtp_hmac_sha1_init(other, &other_key, key_bytes.bytes, key_bytes.length);
    srtp_hmac_sha1(k, &key, data.bytes, length, tail.bytes, tail.length, tag);
    srtp_hmac_sha1(other, &other_key, data.bytes, length, tail.bytes, tail.length, expected);
    if (memcmp(tag, expected, sizeof tag) != 0)
        report_difference(k->name, "hmac", length, tail.length);
    free(data.base);
    free(tail.base);
    free(key_bytes.base);
}

#define MAX_JOBS 600
#define MAX_KEYS 5

static void compare_ctr_batch(const srtp_kernels *k, const srtp_kernels *other, size_t count, size_t longest)
{
    uint8_t key_bytes[32];
    srtp_aes_key keys[MAX_KEYS], other_keys[MAX_KEYS];
    srtp_aes_ctr_job jobs[MAX_JOBS], other_jobs[MAX_JOBS];
    buffer in[MAX_JOBS], out[MAX_JOBS];

    for (size_t i = 0; i < MAX_KEYS; i++) {
        const size_t key_length = random_key(key_bytes);
        k->aes_expand(&keys[i], key_bytes, key_length);
        other->aes_expand(&other_keys[i], key_bytes, key_length);
    }
    for (size_t i = 0; i < count; i++) {
        const size_t key = random_below(MAX_KEYS);
        in[i] = random_buffer(random_below(longest + 1));
        out[i] = copy_of(in[i]);
        jobs[i] = (srtp_aes_ctr_job){&keys[key], in[i].bytes, in[i].bytes, in[i].length, {0}};
        fill(jobs[i].iv, 16);
        if (random_below(2)) { /* not in place */
            jobs[i].in = out[i].bytes;
        }
        other_jobs[i] = jobs[i];
        other_jobs[i].key = &other_keys[key];
        other_jobs[i].in = other_jobs[i].out = NULL;
    }
    k->aes_ctr_batch(jobs, count);
    for (size_t i = 0; i < count; i++) {
        /* out[i] still holds the text. */
        other->aes_ctr(other_jobs[i].key, other_jobs[i].iv, out[i].bytes, out[i].bytes, out[i].length);
        if (!same(in[i].bytes, out[i].bytes, in[i].length))
            report_difference(k->name, "ctr batch", in[i].length, count);
        free(in[i].base);
        free(out[i].base);
    }
}

static void compare_hmac_batch(const srtp_kernels *k, const srtp_kernels *other, size_t count, size_t longest)
{
    srtp_hmac_sha1_key keys[MAX_KEYS], other_keys[MAX_KEYS];
    srtp_hmac_sha1_job jobs[MAX_JOBS];
    size_t key_of[MAX_JOBS];
    buffer data[MAX_JOBS], tail[MAX_JOBS];
    uint8_t tag[SRTP_SHA1_DIGEST];
    const int equal = (int)random_below(2);

    for (size_t i = 0; i < MAX_KEYS; i++) {
        uint8_t key_bytes[20];
        fill(key_bytes, sizeof key_bytes);
        srtp_hmac_sha1_init(k, &keys[i], key_bytes, sizeof key_bytes);
        srtp_hmac_sha1_init(other, &other_keys[i], key_bytes, sizeof key_bytes);
    }
    for (size_t i = 0; i < count; i++) {
        key_of[i] = random_below(MAX_KEYS);
        data[i] = random_buffer(equal ? longest : random_below(longest + 1));
        tail[i] = random_buffer(random_below(8) ? 4 : random_below(70));
        jobs[i] = (srtp_hmac_sha1_job){&keys[key_of[i]], data[i].bytes, data[i].length, tail[i].bytes, tail[i].length,
                                       {0}};
    }
    k->hmac_sha1_batch(jobs, count);
    for (size_t i = 0; i < count; i++) {
        srtp_hmac_sha1(other, &other_keys[key_of[i]], data[i].bytes, data[i].length, tail[i].bytes, tail[i].length,
                       tag);
        if (memcmp(tag, jobs[i].tag, sizeof tag) != 0)
            report_difference(k->name, "hmac batch", data[i].length, count);
        free(data[i].base);
        free(tail[i].base);
    }
}

/* Seals by one table and opens by the other, and the other way round; then opens what was tampered with. */
static void compare_gcm(const srtp_kernels *k, const srtp_kernels *other, size_t length)
{
    uint8_t key_bytes[32], nonce[SRTP_GCM_NONCE], tag[SRTP_GCM_TAG], expected_tag[SRTP_GCM_TAG];
    const size_t key_length = random_key(key_bytes);
    srtp_gcm_key key, other_key;
    buffer aad = random_buffer(random_below(2) ? 12 : random_below(random_below(8) ? 60 : 1000));
    buffer in = random_buffer(length), expected = random_buffer(length), out = random_buffer(length);

    fill(nonce, sizeof nonce);
    k->gcm_expand(&key, key_bytes, key_length);
    other->gcm_expand(&other_key, key_bytes, key_length);
    other->gcm_seal(&other_key, nonce, aad.bytes, aad.length, in.bytes, expected.bytes, length, expected_tag);
    k->gcm_seal(&key, nonce, aad.bytes, aad.length, in.bytes, out.bytes, length, tag);
    if (!same(out.bytes, expected.bytes, length) || memcmp(tag, expected_tag, sizeof tag) != 0)
        report_difference(k->name, "gcm seal", length, aad.length);
    if (!k->gcm_open(&key, nonce, aad.bytes, aad.length, out.bytes, out.bytes, length, tag)
        || !same(out.bytes, in.bytes, length))
        report_difference(k->name, "gcm open in place", length, aad.length);
    if (!k->gcm_open(&key, nonce, aad.bytes, aad.length, expected.bytes, out.bytes, length, tag)
        || !same(out.bytes, in.bytes, length))
        report_difference(k->name, "gcm open", length, aad.length);
    k->gcm_seal(&key, nonce, aad.bytes, aad.length, in.bytes, in.bytes, length, tag);
    if (!same(in.bytes, expected.bytes, length) || memcmp(tag, expected_tag, sizeof tag) != 0)
        report_difference(k->name, "gcm seal in place", length, aad.length);

    /* One bit wrong somewhere: in the tag, the header or the text. */
    const size_t bit = random_below(8 * (SRTP_GCM_TAG + aad.length + length));
    const size_t byte = bit / 8;
    uint8_t *wrong = byte < SRTP_GCM_TAG ? tag + byte
        : byte < SRTP_GCM_TAG + aad.length ? aad.bytes + (byte - SRTP_GCM_TAG)
        : in.bytes + (byte - SRTP_GCM_TAG - aad.length);
    *wrong ^= (uint8_t)(1u << bit % 8);
    buffer before = copy_of(out);
    if (k->gcm_open(&key, nonce, aad.bytes, aad.length, in.bytes, out.bytes, length, tag))
        report_difference(k->name, "gcm open of a forgery", length, bit);
    if (!same(out.bytes, before.bytes, length))
        report_difference(k->name, "gcm output of a forgery", length, bit);
    free(aad.base);
    free(in.base);
    free(expected.base);
    free(out.base);
    free(before.base);
}

static void compare_equal(const srtp_kernels *k)
{
    for (size_t length = 0; length <= 40; length++) {
        buffer a = random_buffer(length), b = copy_of(a);
        if (!srtp_equal(a.bytes, b.bytes, length))
            report_difference(k->name, "equal", length, 0);
        for (size_t bit = 0; bit < 8 * length; bit++) {
            b.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (srtp_equal(a.bytes, b.bytes, length))
                report_difference(k->name, "unequal", length, bit);
            b.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        free(a.base);
        free(b.base);
    }
}

/* Nothing to work on, and no address either. */
static void compare_nothing(const srtp_kernels *k, const srtp_kernels *other)
{
    static const uint8_t zeros[32];
    uint8_t tag[SRTP_SHA1_DIGEST], expected[SRTP_SHA1_DIGEST];
    srtp_aes_key aes;
    srtp_hmac_sha1_key key, other_key;
    srtp_gcm_key gcm, other_gcm;

    k->aes_expand(&aes, zeros, 16);
    k->aes_ctr(&aes, zeros, NULL, NULL, 0);
    k->aes_ctr_batch(NULL, 0);
    k->hmac_sha1_batch(NULL, 0);
    srtp_hmac_sha1_init(k, &key, NULL, 0);
    srtp_hmac_sha1_init(other, &other_key, NULL, 0);
    srtp_hmac_sha1(k, &key, NULL, 0, NULL, 0, tag);
    srtp_hmac_sha1(other, &other_key, NULL, 0, NULL, 0, expected);
    if (memcmp(tag, expected, SRTP_SHA1_DIGEST) != 0)
        report_difference(k->name, "hmac of nothing", 0, 0);
    k->gcm_expand(&gcm, zeros, 32);
    other->gcm_expand(&other_gcm, zeros, 32);
    k->gcm_seal(&gcm, zeros, NULL, 0, NULL, NULL, 0, tag);
    other->gcm_seal(&other_gcm, zeros, NULL, 0, NULL, NULL, 0, expected);
    if (memcmp(tag, expected, SRTP_GCM_TAG) != 0 || !k->gcm_open(&gcm, zeros, NULL, 0, NULL, NULL, 0, tag))
        report_difference(k->name, "gcm of nothing", 0, 0);
}

void compare_random(const srtp_kernels *k, const srtp_kernels *other, uint64_t seed)
{
    random_state = seed;
    for (size_t i = 0; i < LENGTHS; i++) {
        compare_aes(k, other, length_of(i));
        compare_hmac(k, other, length_of(i));
        compare_gcm(k, other, length_of(i));
    }
    for (size_t count = 0; count <= 70; count++) {
        compare_ctr_batch(k, other, count, count % 3 ? 300 : 2000);
        compare_hmac_batch(k, other, count, count % 3 ? random_below(300) : 1500);
    }
    compare_ctr_batch(k, other, 20, 65535);
    compare_hmac_batch(k, other, 20, 65535);
    /* More than are put in order together. */
    compare_hmac_batch(k, other, 257, 200);
    compare_hmac_batch(k, other, MAX_JOBS, 900);
    compare_equal(k);
    compare_nothing(k, other);
}
