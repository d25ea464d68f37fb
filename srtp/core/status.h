/* What an operation of the core says; zero is success. session.pyx turns the others into exceptions, and status.py
 * gives them their public names. */
#ifndef SRTP_STATUS_H
#define SRTP_STATUS_H

typedef enum {
    SRTP_OK = 0,
    SRTP_MALFORMED,         /* not an RTP or RTCP packet, or too short for what the policy appends */
    SRTP_TOO_LONG,          /* longer than 65,535 bytes, or would be when protected */
    SRTP_NO_ROOM,           /* the output buffer is too small; out_length says what is needed */
    SRTP_NO_POLICY,         /* the session has no policy for this direction or SSRC */
    SRTP_UNKNOWN_MKI,
    SRTP_KEY_EXPIRED,       /* the master key's lifetime is used up, or the index lies outside its <From, To> */
    SRTP_AUTH_FAILED,
    SRTP_REPLAYED,
    SRTP_TOO_OLD,           /* older than the replay window reaches */
    SRTP_INDEX_REUSED,      /* protecting other bytes under an index that was used */
    SRTP_INDEX_EXHAUSTED,   /* 2^48 packets, or 2^31 RTCP packets: the keys are used up */
    SRTP_UNENCRYPTED,       /* in clear where the policy wants encryption: SRTCP with E=0, a header without Cryptex */
    SRTP_NO_MEMORY,
    SRTP_TOO_MANY_STREAMS,  /* a bound on SSRCs that peers bring, or on what is kept of removed ones, is reached */
    SRTP_UNEXPECTED_CRYPTEX, /* marked as encrypted by Cryptex where the policy has none, or before it is sent */
    SRTP_STATUS_COUNT
} srtp_status;

#endif
