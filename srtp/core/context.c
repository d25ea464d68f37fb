#include "context.h"

#include <stdlib.h>
#include <string.h>

static void note_features(srtp_context *context) {
    const srtp_parameters *p = &context->parameters;
    int aead = p->shape.cipher == SRTP_AES_GCM;
    int whole_cipher = p->encrypt_rtp ? p->shape.cipher != SRTP_AES_F8 : !aead;
    context->ranged = 0;
    for (srtp_master_key *key = context->keys; key != NULL; key = key->next)
        if (key->from != 0 || key->to != SRTP_MAX_INDEX) context->ranged = 1;
    context->plain = whole_cipher && p->rtp_tag_length != 0 && p->key_derivation_rate == 0 && !p->allow_repeat_tx &&
                     p->cryptex == SRTP_CRYPTEX_OFF && p->roc_mode == 0 && !p->shape.header_keys &&
                     !context->ranged && context->previous == NULL;
}

srtp_context *srtp_context_new(const srtp_kernels *kernels, const srtp_parameters *parameters) {
    srtp_context *context = calloc(1, sizeof *context);
    if (context == NULL) return NULL;
    context->kernels = kernels;
    context->parameters = *parameters;
    size_t tag = parameters->roc_mode == 3 ? 4 : parameters->rtp_tag_length;
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
    free(context);
}

srtp_master_key *srtp_context_add_key(srtp_context *context, const srtp_master_key_values *values) {
    const srtp_parameters *p = &context->parameters;
    srtp_master_key *key = srtp_master_key_new(context->kernels, &p->shape, p->key_derivation_rate != 0, values);
    if (key == NULL) return NULL;
    srtp_master_key **end = &context->keys;
    while (*end != NULL) end = &(*end)->next;
    *end = key;
    if (context->current == NULL) context->current = key;
    note_features(context);
    return key;
}

srtp_master_key *srtp_context_key(const srtp_context *context, const uint8_t *mki) {
    srtp_master_key *key = context->keys;
    while (key != NULL && memcmp(key->mki, mki, context->parameters.mki_length) != 0) key = key->next;
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

static srtp_master_key *key_of_index(const srtp_context *context, uint64_t index) {
    srtp_master_key *key = context->keys;
    while (key != NULL && (index < key->from || index > key->to)) key = key->next;
    return key;
}

srtp_master_key *srtp_context_ranged_key(const srtp_context *context, uint64_t index) {
    srtp_master_key *current = context->current;
    if (context->parameters.mki_length != 0 && index >= current->from && index <= current->to) return current;
    return key_of_index(context, index);
}

srtp_status srtp_context_chosen_key(const srtp_context *context, const uint8_t *mki, uint64_t index,
                                    srtp_master_key **key) {
    if (context->parameters.mki_length != 0) {
        *key = srtp_context_key(context, mki);
        if (*key == NULL) return SRTP_UNKNOWN_MKI;
        return index < (*key)->from || index > (*key)->to ? SRTP_KEY_EXPIRED : SRTP_OK;
    }
    *key = key_of_index(context, index);
    return *key == NULL ? SRTP_KEY_EXPIRED : SRTP_OK;
}
