/* What an operation of the core says; zero is success. session.pyx turns the others into exceptions. */
#ifndef SRTP_STATUS_H
#define SRTP_STATUS_H

typedef enum {
    SRTP_OK = 0,
    SRTP_MALFORMED,         /* not an RTP or RTCP packet, or too short for what the policy appends */
    SRTP_TOO_LONG,          /* longer than 65,535 bytes, or would be when protected */
    SRTP_NO_POLICY,         /* the session has no policy for this direction */
    SRTP_UNKNOWN_MKI,
    SRTP_AUTH_FAILED,
    SRTP_REPLAYED,
    SRTP_TOO_OLD,           /* older than the replay window reaches */
    SRTP_INDEX_REUSED,      /* protecting other bytes under an index that was used */
    SRTP_INDEX_EXHAUSTED,   /* 2^48 packets, or 2^31 RTCP packets: the keys are used up */
    SRTP_UNENCRYPTED,       /* SRTCP with E=0 where the policy wants encryption */
    SRTP_NO_MEMORY,
    SRTP_STATUS_COUNT
} srtp_status;

#endif
