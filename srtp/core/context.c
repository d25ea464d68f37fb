#include "context.h"

#include <stdlib.h>
#include <string.h>

static void note_features(srtp_context *context) {
    const srtp_parameters *p = &context->parameters;
    int aead = p->shape.cipher == SRTP_AES_GCM;
    int whole_cipher = p->encrypt_rtp ? p->shape.cipher != SRTP_AES_F8 : !aead;
    context->authenticates = aead || (p->rtp_tag_length != 0 && p->roc_mode != 3);
    context->checks_replay = context->authenticates && p->replay_check;
    context->plain = whole_cipher && p->rtp_tag_length != 0 && p->replay_check && p->key_derivation_rate == 0 && !p->allow_repeat_tx &&
                     p->cryptex == SRTP_CRYPTEX_OFF && p->roc_mode == 0 && !p->shape.header_keys &&
                     !context->ranged && context->previous == NULL;
}

srtp_context *srtp_context_new(const srtp_kernels *kernels, const srtp_parameters *parameters) {
    srtp_context *context = calloc(1, sizeof *context);
    if (context == NULL) return NULL;
    context->kernels = kernels;
    context->parameters = *parameters;
    context->end = &context->keys;
    int aead = parameters->shape.cipher == SRTP_AES_GCM;
    size_t roc = parameters->roc_mode == 3 ? 4 : 0;
    size_t tag = roc == 0 ? parameters->rtp_tag_length : roc + (aead ? SRTP_GCM_TAG : 0);
    size_t extension = parameters->cryptex != SRTP_CRYPTEX_OFF ? 4 : 0;
    context->rtp_overhead = parameters->mki_length + tag + extension;
    context->rtcp_overhead = 4 + parameters->mki_length + parameters->rtcp_tag_length;
    return context;
}

void srtp_context_free(srtp_context *context) {
    if (context == NULL) return;
    for (srtp_master_key *key = context->keys, *next; key != NULL; key = next) {
        next = key->next;
        srtp_master_key_free(key, &context->parameters.shape);
    }
    free(context->buckets);
    free(context);
}

/* By lists of keys with the same upper bits of a product, in which the context's address is mixed: a peer that names
 * MKIs does not know it. */
static srtp_master_key **bucket_of(const srtp_context *context, const uint8_t *mki) {
    uint64_t hash = (uintptr_t)context;
    for (size_t i = 0; i < context->parameters.mki_length; i++) {
        hash = (hash ^ mki[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return &context->buckets[hash * UINT64_C(0x9e3779b97f4a7c15) >> (64 - context->bucket_bits)];
}

static void put_into_bucket(srtp_context *context, srtp_master_key *key) {
    srtp_master_key **bucket = bucket_of(context, key->mki);
    key->next_of_bucket = *bucket;
    *bucket = key;
}

/* Makes room in the buckets for one key more, with as many of them as keys; -1 without memory. */
static int reserve_bucket(srtp_context *context) {
    if (context->parameters.mki_length == 0) return 0;
    if (context->buckets != NULL && context->key_count < (size_t)1 << context->bucket_bits) return 0;
    unsigned bits = context->buckets == NULL ? 2 : context->bucket_bits + 1;
    srtp_master_key **larger = calloc((size_t)1 << bits, sizeof *larger);
    if (larger == NULL) return -1;
    free(context->buckets);
    context->buckets = larger;
    context->bucket_bits = bits;
    for (srtp_master_key *key = context->keys; key != NULL; key = key->next) put_into_bucket(context, key);
    return 0;
}

static void take_out_of_bucket(srtp_context *context, const srtp_master_key *key) {
    srtp_master_key **link = bucket_of(context, key->mki);
    while (*link != key) link = &(*link)->next_of_bucket;
    *link = key->next_of_bucket;
}

static int is_ranged(const srtp_master_key *key) { return key->from != 0 || key->to != SRTP_MAX_INDEX; }

srtp_master_key *srtp_context_add_key(srtp_context *context, const srtp_master_key_values *values) {
    const srtp_parameters *p = &context->parameters;
    if (reserve_bucket(context) != 0) return NULL;
    srtp_master_key *key = srtp_master_key_new(context->kernels, &p->shape, p->key_derivation_rate != 0, values);
    if (key == NULL) return NULL;
    *context->end = key;
    context->end = &key->next;
    context->key_count++;
    context->ranged += is_ranged(key);
    if (p->mki_length != 0) put_into_bucket(context, key);
    if (context->current == NULL) context->current = key;
    note_features(context);
    return key;
}

srtp_master_key *srtp_context_key(const srtp_context *context, const uint8_t *mki) {
    if (context->buckets == NULL) return NULL;
    srtp_master_key *key = *bucket_of(context, mki);
    while (key != NULL && memcmp(key->mki, mki, context->parameters.mki_length) != 0) key = key->next_of_bucket;
    return key;
}

srtp_master_key *srtp_context_key_of_id(const srtp_context *context, const srtp_key_id *id) {
    srtp_master_key *key = context->keys;
    while (key != NULL && memcmp(&key->id, id, sizeof key->id) != 0) key = key->next;
    return key;
}

void srtp_context_note_past(srtp_context *context, const srtp_master_key *key) {
    if (key->rtp_lifetime.used == 0 && key->rtcp_lifetime.used == 0) return;
    context->past.ids[context->past.count++ % SRTP_PAST_KEYS] = key->id;
}

void srtp_context_switch(srtp_context *context, srtp_master_key *key) { context->current = key; }

void srtp_context_remove_key(srtp_context *context, srtp_master_key *key) {
    srtp_master_key **link = &context->keys;
    while (*link != key) link = &(*link)->next;
    *link = key->next;
    if (context->end == &key->next) context->end = link;
    context->key_count--;
    context->ranged -= is_ranged(key);
    if (context->parameters.mki_length != 0) take_out_of_bucket(context, key);
    if (context->previous == key) context->previous = NULL;
    srtp_context_note_past(context, key);
    srtp_master_key_free(key, &context->parameters.shape);
    note_features(context);
}

void srtp_context_rekey(srtp_context *context, srtp_master_key *key, uint64_t overlap) {
    srtp_master_key *before = context->current;
    if (context->previous != NULL) srtp_context_remove_key(context, context->previous);
    context->current = key;
    context->overlap = overlap;
    if (overlap == 0)
        srtp_context_remove_key(context, before);
    else
        context->previous = before;
    note_features(context);
}

void srtp_context_shorten(srtp_context *context, const srtp_master_key *key) {
    if (key != context->current) return;
    if (--context->overlap > 0) return;
    srtp_context_remove_key(context, context->previous);
    context->overlap_ended = 1;
}

static int is_for(const srtp_master_key *key, uint64_t index) { return index >= key->from && index <= key->to; }

/* That of an overlap only where there is no other, which is tried first. */
static srtp_master_key *key_of_index(const srtp_context *context, uint64_t index) {
    srtp_master_key *key = context->keys, *previous = context->previous;
    while (key != NULL && (key == previous || !is_for(key, index))) key = key->next;
    return key == NULL && previous != NULL && is_for(previous, index) ? previous : key;
}

srtp_master_key *srtp_context_ranged_key(const srtp_context *context, uint64_t index) {
    srtp_master_key *current = context->current;
    if (context->parameters.mki_length != 0 && is_for(current, index)) return current;
    return key_of_index(context, index);
}

srtp_status srtp_context_chosen_key(const srtp_context *context, const uint8_t *mki, uint64_t index,
                                    srtp_master_key **key) {
    if (context->parameters.mki_length != 0) {
        const srtp_master_key *current = context->current;
        int usual = current != NULL && memcmp(current->mki, mki, context->parameters.mki_length) == 0;
        *key = usual ? context->current : srtp_context_key(context, mki);
        if (*key == NULL) return SRTP_UNKNOWN_MKI;
        return is_for(*key, index) ? SRTP_OK : SRTP_KEY_EXPIRED;
    }
    *key = key_of_index(context, index);
    return *key == NULL ? SRTP_KEY_EXPIRED : SRTP_OK;
}
