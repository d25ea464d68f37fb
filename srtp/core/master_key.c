#include "master_key.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "secret_memory.h"

srtp_master_key *srtp_master_key_new(const srtp_kernels *k, const srtp_key_shape *shape, int keep_derivation,
                                     const srtp_master_key_values *values) {
    static _Atomic uint64_t serial;
    srtp_derivation *derivation = srtp_secret_new(sizeof *derivation);
    srtp_master_key *key = derivation == NULL ? NULL : calloc(1, sizeof *key + values->mki_length);
    if (key == NULL) {
        srtp_secret_free(derivation, sizeof *derivation);
        return NULL;
    }
    if (values->mki_length > 0) memcpy(key->mki, values->mki, values->mki_length);
    key->serial = atomic_fetch_add(&serial, 1) + 1;
    key->from = values->from;
    key->to = values->to;
    key->rtp_lifetime = values->rtp_lifetime;
    key->rtcp_lifetime = values->rtcp_lifetime;
    srtp_derivation_init(k, derivation, values->key, values->salt, shape);
    key->id = srtp_derivation_id(k, derivation);
    key->rtp = srtp_session_keys_new(k, derivation, shape, 0, 0);
    key->rtcp = srtp_session_keys_new(k, derivation, shape, 1, 0);
    if (keep_derivation)
        key->derivation = derivation;
    else
        srtp_secret_free(derivation, sizeof *derivation);
    if (key->rtp == NULL || key->rtcp == NULL) {
        srtp_master_key_free(key, shape);
        return NULL;
    }
    return key;
}

void srtp_master_key_free(srtp_master_key *key, const srtp_key_shape *shape) {
    if (key == NULL) return;
    srtp_session_keys_free(key->rtp, shape);
    srtp_session_keys_free(key->rtcp, shape);
    srtp_secret_free(key->derivation, sizeof *key->derivation);
    free(key);
}
