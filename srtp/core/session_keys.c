#include "session_keys.h"

#include <string.h>

#include "packet.h"
#include "secret_memory.h"

/* RFC 3711 4.3.1 and RFC 6904 3. */
enum { LABEL_ENCRYPTION, LABEL_AUTHENTICATION, LABEL_SALT, LABEL_RTCP, LABEL_HEADER = 6, LABEL_HEADER_SALT, LABEL_ID = 0xff };

void srtp_derivation_init(const srtp_kernels *k, srtp_derivation *derivation, const uint8_t *master_key,
                          const uint8_t *master_salt, const srtp_key_shape *shape) {
    k->aes_expand(&derivation->master, master_key, shape->key_length);
    memset(derivation->salt, 0, SRTP_SALT_LENGTH);
    memcpy(derivation->salt, master_salt, shape->salt_length);
}

/* Fills `out` with `length` bytes of PRF_n(master_key, (label || r) xor master_salt) (4.3.1, 4.3.3). */
static void derive(const srtp_kernels *k, const srtp_derivation *derivation, unsigned label, uint64_t r, uint8_t *out,
                   size_t length) {
    uint8_t x[SRTP_AES_BLOCK] = {0};
    memcpy(x, derivation->salt, SRTP_SALT_LENGTH);
    x[7] ^= (uint8_t)label;
    for (int i = 0; i < 6; i++) x[13 - i] ^= (uint8_t)(r >> 8 * i);
    memset(out, 0, length);
    k->aes_ctr(&derivation->master, x, out, out, length);
    srtp_wipe(x, sizeof x);
}

srtp_key_id srtp_derivation_id(const srtp_kernels *k, const srtp_derivation *derivation) {
    srtp_key_id id;
    derive(k, derivation, LABEL_ID, 0, id.bytes, sizeof id.bytes);
    return id;
}

static srtp_salt derive_salt(const srtp_kernels *k, const srtp_derivation *derivation, const srtp_key_shape *shape,
                             unsigned label, uint64_t r) {
    uint8_t bytes[SRTP_AES_BLOCK] = {0};
    derive(k, derivation, label, r, bytes, shape->salt_length);
    srtp_salt salt = {srtp_load64(bytes), srtp_load64(bytes + 8)};
    srtp_wipe(bytes, sizeof bytes);
    return salt;
}

/* k_e xor m, where m is the salt filled up with 0x55 (4.1.2.1). */
static void expand_masked(const srtp_kernels *k, srtp_aes_key *masked, const uint8_t *key, size_t length,
                          const srtp_salt *salt) {
    uint8_t bytes[SRTP_MAX_KEY];
    for (size_t i = 0; i < length; i++) {
        uint8_t m = 0x55;
        if (i < 8) m = (uint8_t)(salt->high >> (56 - 8 * i));
        else if (i < SRTP_SALT_LENGTH) m = (uint8_t)(salt->low >> (56 - 8 * (i - 8)));
        bytes[i] = key[i] ^ m;
    }
    k->aes_expand(masked, bytes, length);
    srtp_wipe(bytes, sizeof bytes);
}

static int needs_further(const srtp_key_shape *shape, int rtcp) {
    return shape->cipher == SRTP_AES_F8 || (shape->header_keys && !rtcp);
}

static void derive_further(const srtp_kernels *k, const srtp_derivation *derivation, const srtp_key_shape *shape,
                           srtp_further_keys *further, uint64_t r) {
    uint8_t bytes[SRTP_MAX_KEY];
    derive(k, derivation, LABEL_HEADER, r, bytes, shape->key_length);
    k->aes_expand(&further->header, bytes, shape->key_length);
    further->header_salt = derive_salt(k, derivation, shape, LABEL_HEADER_SALT, r);
    expand_masked(k, &further->header_masked, bytes, shape->key_length, &further->header_salt);
    srtp_wipe(bytes, sizeof bytes);
}

size_t srtp_session_keys_size(const srtp_key_shape *shape) {
    size_t cipher = shape->cipher == SRTP_AES_GCM ? sizeof(srtp_gcm_key) : sizeof(srtp_aes_key);
    return offsetof(srtp_session_keys, aes) + cipher;
}

srtp_session_keys *srtp_session_keys_new(const srtp_kernels *k, const srtp_derivation *derivation,
                                         const srtp_key_shape *shape, int rtcp, uint64_t r) {
    srtp_session_keys *keys = srtp_secret_new(srtp_session_keys_size(shape));
    srtp_further_keys *further = needs_further(shape, rtcp) ? srtp_secret_new(sizeof *further) : NULL;
    if (keys == NULL || (further == NULL && needs_further(shape, rtcp))) {
        srtp_secret_free(keys, srtp_session_keys_size(shape));
        srtp_secret_free(further, sizeof *further);
        return NULL;
    }
    keys->further = further;
    unsigned label = rtcp ? LABEL_RTCP : 0;
    uint8_t bytes[SRTP_MAX_KEY];
    derive(k, derivation, label + LABEL_AUTHENTICATION, r, bytes, SRTP_AUTH_KEY_LENGTH);
    srtp_hmac_sha1_init(k, &keys->authentication, bytes, SRTP_AUTH_KEY_LENGTH);
    keys->salt = derive_salt(k, derivation, shape, label + LABEL_SALT, r);
    derive(k, derivation, label + LABEL_ENCRYPTION, r, bytes, shape->key_length);
    if (shape->cipher == SRTP_AES_GCM)
        k->gcm_expand(&keys->gcm, bytes, shape->key_length);
    else
        k->aes_expand(&keys->aes, bytes, shape->key_length);
    if (shape->cipher == SRTP_AES_F8) expand_masked(k, &further->masked, bytes, shape->key_length, &keys->salt);
    if (shape->header_keys && !rtcp) derive_further(k, derivation, shape, further, r);
    srtp_wipe(bytes, sizeof bytes);
    return keys;
}

void srtp_session_keys_free(srtp_session_keys *keys, const srtp_key_shape *shape) {
    if (keys == NULL) return;
    srtp_secret_free(keys->further, sizeof *keys->further);
    srtp_secret_free(keys, srtp_session_keys_size(shape));
}
