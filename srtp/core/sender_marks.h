/* What keeps a key stream from being used twice when senders come and go, and when keys change under them. */
#ifndef SRTP_SENDER_MARKS_H
#define SRTP_SENDER_MARKS_H

#include "direction.h"

/* A sender's new stream in the table, which begins where the marks of its SSRC say; NULL without memory. */
srtp_stream *srtp_sender_new(srtp_direction *direction, srtp_context *context, uint32_t ssrc);
/* Removes a sender and leaves the marks of what it has used: SRTP_OK, or the stream is still there and it is
 * SRTP_NO_MEMORY or SRTP_TOO_MANY_STREAMS. */
srtp_status srtp_sender_remove(srtp_direction *direction, srtp_stream *stream);

/* A key has come to a context: makes its streams obey the marks of their SSRCs under that key. SRTP_INDEX_REUSED, with
 * nothing changed and the SSRC in `*ssrc`, when one is at an RTP index that the key was used at before. */
srtp_status srtp_senders_obey(srtp_direction *direction, const srtp_context *context, const srtp_master_key *key,
                              uint32_t *ssrc);

/* Puts `context` in the place of `old`, which is freed: its streams go on, each where it is. With `sends` they obey
 * marks as above. SRTP_OK, or nothing has changed and it is SRTP_NO_MEMORY or SRTP_INDEX_REUSED. */
srtp_status srtp_direction_renew(srtp_direction *direction, srtp_context *old, srtp_context *context, int sends,
                                 uint32_t *ssrc);

#endif
