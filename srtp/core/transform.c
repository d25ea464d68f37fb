#include "transform.h"

const srtp_session_keys *srtp_keys_at(const srtp_context *context, const srtp_master_key *key,
                                      const srtp_index_space *space, int rtcp, uint64_t index,
                                      srtp_session_keys **fresh) {
    const srtp_parameters *p = &context->parameters;
    uint64_t r = p->key_derivation_rate == 0 ? 0 : index / p->key_derivation_rate;
    *fresh = NULL;
    if (r == 0) return rtcp ? key->rtcp : key->rtp;
    if (space != NULL && space->derived.serial == key->serial && space->derived.r == r) return space->derived.keys;
    *fresh = srtp_session_keys_new(context->kernels, key->derivation, &p->shape, rtcp, r);
    return *fresh;
}

void srtp_keep_keys(const srtp_context *context, const srtp_master_key *key, srtp_index_space *space, uint64_t index,
                    srtp_session_keys *fresh) {
    if (fresh == NULL) return;
    srtp_drop_keys(context, space->derived.keys);
    space->derived.keys = fresh;
    space->derived.serial = key->serial;
    space->derived.r = index / context->parameters.key_derivation_rate;
}
