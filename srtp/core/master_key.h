/* A master key: its MKI, its range of indexes and its lifetime (RFC 3711 3.2.1, 8.1.1, 9.2). */
#ifndef SRTP_MASTER_KEY_H
#define SRTP_MASTER_KEY_H

#include "session_keys.h"

#define SRTP_MAX_MKI 128
#define SRTP_MAX_INDEX 0xffffffffffffu
#define SRTP_MAX_RTCP_INDEX 0x7fffffffu

/* Packets under one master key, over all SSRCs. */
typedef struct {
    uint64_t used;
    uint64_t soft;              /* `used` reaching it is an event */
    uint64_t limit;             /* `used` reaching it is another, and then no packet is processed */
    int soft_reached;           /* events not yet drained */
    int limit_reached;
} srtp_lifetime;

typedef struct srtp_master_key srtp_master_key;
struct srtp_master_key {
    srtp_master_key *next;
    srtp_master_key *next_of_bucket; /* see srtp_context.buckets */
    srtp_session_keys *rtp;     /* for r = 0 */
    srtp_session_keys *rtcp;
    srtp_derivation *derivation; /* kept only where key_derivation_rate is not 0 */
    uint64_t serial;            /* tells it from a later one at the same address */
    srtp_key_id id;             /* tells whether it is the same key as another, or as one that is gone */
    uint64_t from;              /* <From, To>, both included */
    uint64_t to;
    srtp_lifetime rtp_lifetime;
    srtp_lifetime rtcp_lifetime;
    uint8_t mki[];              /* as many bytes as the context says */
};

typedef struct {
    const uint8_t *key;
    const uint8_t *salt;
    const uint8_t *mki;
    size_t mki_length;
    uint64_t from;
    uint64_t to;
    srtp_lifetime rtp_lifetime;
    srtp_lifetime rtcp_lifetime;
} srtp_master_key_values;

/* Derives the session keys; the master key itself is not kept. NULL without memory. */
srtp_master_key *srtp_master_key_new(const srtp_kernels *k, const srtp_key_shape *shape, int keep_derivation,
                                     const srtp_master_key_values *values);
/* Wipes and frees; NULL is allowed. */
void srtp_master_key_free(srtp_master_key *key, const srtp_key_shape *shape);

static inline int srtp_lifetime_over(const srtp_lifetime *lifetime) { return lifetime->used >= lifetime->limit; }

/* How many packets it is from its next event or its end; below this many a packet need not look. */
static inline uint64_t srtp_lifetime_quiet(const srtp_lifetime *lifetime) {
    uint64_t next = lifetime->used < lifetime->soft ? lifetime->soft : lifetime->limit;
    return next > lifetime->used ? next - lifetime->used : 0;
}

static inline void srtp_lifetime_count(srtp_lifetime *lifetime) {
    lifetime->used++;
    if (__builtin_expect(lifetime->used == lifetime->soft, 0)) lifetime->soft_reached = 1;
    if (__builtin_expect(lifetime->used == lifetime->limit, 0)) lifetime->limit_reached = 1;
}

#endif
