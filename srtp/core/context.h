/* A cryptographic context (RFC 3711 3.2): a policy's parameters and its master keys. The streams that follow it have
 * the state that belongs to one SSRC. */
#ifndef SRTP_CONTEXT_H
#define SRTP_CONTEXT_H

#include "master_key.h"
#include "status.h"

typedef enum { SRTP_CRYPTEX_OFF, SRTP_CRYPTEX_ON, SRTP_CRYPTEX_REQUIRED } srtp_cryptex_use;

typedef struct {
    srtp_key_shape shape;
    size_t rtp_tag_length;      /* 0 without authentication */
    size_t rtcp_tag_length;
    size_t mki_length;
    uint64_t key_derivation_rate; /* 0 or a power of two */
    int encrypt_rtp;
    int encrypt_rtcp;
    int allow_repeat_tx;
    srtp_cryptex_use cryptex;
    int roc_mode;               /* 1 to 3 of RFC 4771, 0 without */
    uint16_t roc_rate;          /* its R */
    uint32_t rtp_window;
    uint32_t rtcp_window;
    int replay_check;           /* 0: received packets are taken as often as they come */
    uint32_t most_streams;      /* SSRCs of the direction, beyond which received packets bring no other */
    uint8_t encrypted_extensions[32]; /* a bit for each RFC 8285 ID that RFC 6904 encrypts */
} srtp_parameters;

/* The last keys that were removed from a context after packets had come under them; the n-th, counted from 0, lies at
 * n mod SRTP_PAST_KEYS. */
#define SRTP_PAST_KEYS 16
typedef struct {
    uint32_t count;             /* of all that were removed */
    srtp_key_id ids[SRTP_PAST_KEYS];
} srtp_past_keys;

typedef struct {
    const srtp_kernels *kernels;
    srtp_parameters parameters;
    srtp_master_key *keys;      /* in the order in which they were added */
    srtp_master_key **end;      /* where the next one goes */
    srtp_master_key **buckets;  /* the keys by their MKIs: 2^bucket_bits lists, or NULL */
    unsigned bucket_bits;
    size_t key_count;
    srtp_master_key *current;   /* protects; without MKI and ranges it is tried first when receiving */
    srtp_master_key *previous;  /* still accepted after a rekey; one of `keys`, or NULL */
    uint64_t overlap;           /* packets that may yet come before `previous` goes */
    int overlap_ended;          /* an event not yet drained */
    size_t ranged;              /* keys that have a <From, To> */
    size_t rtp_overhead;        /* bytes that protecting adds at the most, and without Cryptex and RCC exactly */
    size_t rtcp_overhead;
    srtp_past_keys past;
    int authenticates;          /* RTP: some packets are authenticated, and only those move the state */
    int checks_replay;          /* RTP */
    int plain;                  /* nothing but cipher, tag and MKI: the batch kernels can take it */
} srtp_context;

/* Without keys yet; NULL without memory. */
srtp_context *srtp_context_new(const srtp_kernels *kernels, const srtp_parameters *parameters);
/* Wipes the keys and frees everything; NULL is allowed. */
void srtp_context_free(srtp_context *context);

/* Makes a key of the values and adds it; the first one becomes the current. NULL without memory. */
srtp_master_key *srtp_context_add_key(srtp_context *context, const srtp_master_key_values *values);
/* The key of an MKI (of parameters.mki_length bytes), or NULL. */
srtp_master_key *srtp_context_key(const srtp_context *context, const uint8_t *mki);
/* The key of a name, or NULL. */
srtp_master_key *srtp_context_key_of_id(const srtp_context *context, const srtp_key_id *id);
void srtp_context_switch(srtp_context *context, srtp_master_key *key);
/* Wipes one key; the caller sees to it that it is not the current one. */
void srtp_context_remove_key(srtp_context *context, srtp_master_key *key);
/* Keeps the name of a key that is to be removed, if packets have come under it. */
void srtp_context_note_past(srtp_context *context, const srtp_master_key *key);
/* Makes `key` the current one and accepts the one before until `overlap` packets have come under the new. */
void srtp_context_rekey(srtp_context *context, srtp_master_key *key, uint64_t overlap);
/* A packet came under `key`: shortens the overlap, if there is one. */
void srtp_context_shorten(srtp_context *context, const srtp_master_key *key);
static inline void srtp_context_received(srtp_context *context, const srtp_master_key *key) {
    if (__builtin_expect(context->previous != NULL, 0)) srtp_context_shorten(context, key);
}

/* The key that protects a packet of this SRTP index; NULL when no key's range has it. */
srtp_master_key *srtp_context_ranged_key(const srtp_context *context, uint64_t index);
static inline srtp_master_key *srtp_context_sending_key(const srtp_context *context, uint64_t index) {
    return __builtin_expect(context->ranged, 0) ? srtp_context_ranged_key(context, index) : context->current;
}
/* The key for a received packet, by its MKI (which lies at `mki`), else by its SRTP index, else the current one.
 * SRTP_OK, SRTP_UNKNOWN_MKI or SRTP_KEY_EXPIRED (no key's range has the index). */
srtp_status srtp_context_chosen_key(const srtp_context *context, const uint8_t *mki, uint64_t index,
                                    srtp_master_key **key);
static inline srtp_status srtp_context_receiving_key(const srtp_context *context, const uint8_t *mki, uint64_t index,
                                                     srtp_master_key **key) {
    if (context->parameters.mki_length != 0 || context->ranged)
        return srtp_context_chosen_key(context, mki, index, key);
    *key = context->current;
    return SRTP_OK;
}

#endif
