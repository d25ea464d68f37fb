/* What a direction keeps of senders that were removed: how far an SSRC has used its indexes under a master key. */
#ifndef SRTP_MARKS_H
#define SRTP_MARKS_H

#include "context.h"

/* Of a direction. When there are so many no sender can be removed: to forget one would let its key streams be used
 * a second time. */
#define SRTP_MOST_MARKS 65536
/* A stream that has been under more keys than this leaves one mark for all keys there are. */
#define SRTP_MOST_KEYS_MARKED 16

typedef struct {
    uint32_t ssrc;
    uint32_t roc;               /* of the next RTP packet, if pinned */
    uint8_t pinned;
    uint8_t any_key;            /* whatever the key: `key` means nothing */
    uint8_t taken;              /* a place of the table that holds a mark */
    srtp_key_id key;
    uint64_t rtp_end;           /* all RTP indexes below it count as used */
    uint64_t rtcp_end;
} srtp_mark;

/* By SSRC, with open addressing; all zero is an empty one. Marks are never taken out. */
typedef struct {
    srtp_mark *places;          /* `size` of them, a power of two, or NULL */
    size_t size;
    size_t count;
} srtp_marks;

/* Whether there is a mark of the same SSRC and key. */
int srtp_marks_has(const srtp_marks *marks, const srtp_mark *mark);
/* Makes room for `more` marks: SRTP_OK, SRTP_NO_MEMORY or SRTP_TOO_MANY_STREAMS. */
srtp_status srtp_marks_reserve(srtp_marks *marks, size_t more);
/* Adds a mark, for which there is room, or raises the one of the same SSRC and key. */
void srtp_marks_raise(srtp_marks *marks, const srtp_mark *mark);
/* What the marks of an SSRC say of a stream with the keys of `context`; 0 when they say nothing. */
int srtp_marks_floor(const srtp_marks *marks, uint32_t ssrc, const srtp_context *context, srtp_mark *floor);
/* The next mark after `*position`, which begins as 0 and moves on; NULL after the last. In no order. */
const srtp_mark *srtp_marks_next(const srtp_marks *marks, size_t *position);
void srtp_marks_free(srtp_marks *marks);

#endif
