/* One direction of a session: the policy's parameters, the session keys, and the streams met so far. */
#ifndef SRTP_DIRECTION_H
#define SRTP_DIRECTION_H

#include "key_derivation.h"
#include "replay_window.h"
#include "status.h"

#define SRTP_MAX_MKI 128
/* Of the HMAC of a sent packet, kept to know the same bytes again. */
#define SRTP_FINGERPRINT 16

typedef struct {
    int encrypt;                /* AES counter mode; 0 is the NULL cipher */
    size_t key_length;
    size_t rtp_tag_length;
    size_t rtcp_tag_length;
    size_t mki_length;
    uint8_t mki[SRTP_MAX_MKI];
    uint32_t rtp_window;
    uint32_t rtcp_window;
    int allow_repeat_tx;
} srtp_parameters;

typedef struct {
    uint64_t processed;         /* protected or authenticated */
    uint64_t malformed;
    uint64_t authentication_failures;
    uint64_t replays;
    uint64_t too_old;
    uint64_t unknown_mki;
    uint64_t refused;           /* any other status */
} srtp_counters;

/* What RTP and RTCP of one SSRC each have. `fingerprints` (capacity of the window times SRTP_FINGERPRINT)
 * is there only for a sender with allow_repeat_tx. */
typedef struct {
    srtp_replay_window window;
    uint8_t *fingerprints;
    srtp_counters counters;
} srtp_index_space;

typedef struct {
    uint32_t ssrc;
    uint32_t initial_roc;       /* the ROC of the first packet, until one has come */
    srtp_index_space rtp;
    srtp_index_space rtcp;
} srtp_stream;

typedef struct {
    srtp_stream **slots;        /* open addressing; capacity is a power of two */
    size_t capacity;
    size_t count;
} srtp_stream_table;

typedef struct {
    const srtp_kernels *kernels;
    srtp_parameters parameters;
    srtp_session_keys rtp_keys;
    srtp_session_keys rtcp_keys;
    srtp_stream_table streams;
    srtp_counters rtp;
    srtp_counters rtcp;
} srtp_direction;

/* Copies the parameters and derives the keys; the master key is not kept. NULL without memory. */
srtp_direction *srtp_direction_new(const srtp_kernels *kernels, const srtp_parameters *parameters,
                                   const uint8_t *master_key, const uint8_t master_salt[SRTP_SALT_LENGTH]);
/* Wipes the keys and frees everything; NULL is allowed. */
void srtp_direction_free(srtp_direction *direction);

/* The stream of an SSRC, or NULL; never inserts. */
srtp_stream *srtp_stream_find(const srtp_stream_table *table, uint32_t ssrc);
/* A new stream with empty windows, not yet in the table; NULL without memory. */
srtp_stream *srtp_stream_new(const srtp_direction *direction, uint32_t ssrc, int keep_fingerprints);
void srtp_stream_free(srtp_stream *stream);
/* Puts it into the table, which owns it from then on; -1 without memory (then the caller still owns it). */
int srtp_stream_insert(srtp_stream_table *table, srtp_stream *stream);
/* Takes the stream of an SSRC out and frees it; 0 if there is none. */
int srtp_stream_remove(srtp_stream_table *table, uint32_t ssrc);

/* How many bytes protecting adds, and unprotecting takes away. */
size_t srtp_rtp_overhead(const srtp_direction *direction);
size_t srtp_rtcp_overhead(const srtp_direction *direction);

/* RFC 3711 3.3: one packet of `length` bytes from `in` to `out` (in == out is allowed, other overlap is not);
 * `out` holds length + overhead bytes. On success *out_length is the new length; on failure nothing has changed:
 * neither the bytes at `in` nor any state but the counters. *index gets the packet index where it was known. */
srtp_status srtp_protect(srtp_direction *direction, const uint8_t *in, size_t length, uint8_t *out,
                         size_t *out_length, uint64_t *index);
srtp_status srtp_protect_rtcp(srtp_direction *direction, const uint8_t *in, size_t length, uint8_t *out,
                              size_t *out_length, uint64_t *index);
srtp_status srtp_unprotect(srtp_direction *direction, const uint8_t *in, size_t length, uint8_t *out,
                           size_t *out_length, uint64_t *index);
srtp_status srtp_unprotect_rtcp(srtp_direction *direction, const uint8_t *in, size_t length, uint8_t *out,
                                size_t *out_length, uint64_t *index);

/* Any of the four. */
typedef srtp_status (*srtp_operation)(srtp_direction *direction, const uint8_t *in, size_t length, uint8_t *out,
                                      size_t *out_length, uint64_t *index);

#endif
