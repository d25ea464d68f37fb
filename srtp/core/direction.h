/* One direction of a session: its policies, and the streams met so far. */
#ifndef SRTP_DIRECTION_H
#define SRTP_DIRECTION_H

#include "lock.h"
#include "marks.h"
#include "process.h"
#include "stream_table.h"

/* Without authentication anybody's packet makes a stream, but none when there are so many already. */
#define SRTP_MOST_STRANGERS 1024

/* What protecting adds at the most, and unprotecting takes away at the least, under any policy of a direction. */
typedef struct {
    size_t most;
    size_t least;
} srtp_overhead;

typedef struct {
    srtp_context *any;          /* the policy of SSRCs that have none of their own; may be NULL */
    srtp_stream_table streams;
    srtp_marks marks;           /* of senders that were removed */
    srtp_counters rtp;
    srtp_counters rtcp;
    uint64_t chunks;            /* batch chunks begun, see srtp_stream.staged */
    srtp_overhead rtp_overhead;
    srtp_overhead rtcp_overhead;
    srtp_lock lock;             /* the caller of any function below holds it */
    uint32_t process;           /* srtp_process_enter() of the one that made it, and alone may use it */
    size_t hand;                /* where srtp_direction_doze() looks next */
} srtp_direction;

/* One packet and what becomes of it. in == out is allowed, other overlap is not. */
typedef struct {
    const uint8_t *in;
    uint8_t *out;
    size_t length;
    size_t capacity;            /* of `out` */
    size_t out_length;          /* the new length; after SRTP_NO_ROOM the capacity that is needed */
    uint64_t index;             /* where it was known */
    srtp_status status;
} srtp_packet;

/* NULL without memory. Owns `any`, which may be NULL. */
srtp_direction *srtp_direction_new(srtp_context *any);
/* Reckons with the overheads of one more policy. */
void srtp_direction_admit(srtp_direction *direction, const srtp_context *context);
/* Where there are many streams, looks at some and takes from those that were idle since it last came by what only a running one needs: a
 * wide window, and the keys of a key_derivation_rate. Of such a one all is used up to its highest index. */
void srtp_direction_doze(srtp_direction *direction);
/* Wipes the keys and frees everything; NULL is allowed. */
void srtp_direction_free(srtp_direction *direction);

/* The context of an SSRC: its stream's, else the one for any; NULL if there is none. */
static inline srtp_context *srtp_direction_context(const srtp_direction *direction, const srtp_stream *stream) {
    return stream != NULL ? stream->context : direction->any;
}

/* RFC 3711 3.3: one packet. On failure nothing has changed: neither the bytes at `in` nor any state but the counters.
 * `direction` NULL is one without policy. */
srtp_status srtp_protect(srtp_direction *direction, srtp_packet *packet);
srtp_status srtp_protect_rtcp(srtp_direction *direction, srtp_packet *packet);
srtp_status srtp_unprotect(srtp_direction *direction, srtp_packet *packet);
srtp_status srtp_unprotect_rtcp(srtp_direction *direction, srtp_packet *packet);

/* Many packets, in their order, as one call each; the statuses are in the packets. */
void srtp_protect_batch(srtp_direction *direction, srtp_packet *packets, size_t count);
void srtp_unprotect_batch(srtp_direction *direction, srtp_packet *packets, size_t count);

/* Each packet for the direction in the same place, of which any may be NULL. */
void srtp_protect_fanout(srtp_direction *const *directions, srtp_packet *packets, size_t count);

/* Takes the locks of directions up to the first that is held, or stands there a second time; returns how many. Whoever
 * then waits must hold none of them: it may be one of these that is waited for, or its holder may wait for these. */
size_t srtp_lock_many(srtp_direction *const *directions, size_t count);
void srtp_release_many(srtp_direction *const *directions, size_t count);

/* Any of the four, and either of the two. */
typedef srtp_status (*srtp_operation)(srtp_direction *direction, srtp_packet *packet);
typedef void (*srtp_batch_operation)(srtp_direction *direction, srtp_packet *packets, size_t count);

#endif
