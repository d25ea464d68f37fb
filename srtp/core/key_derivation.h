/* RFC 3711 4.3: the session keys of one master key, at key_derivation_rate 0. */
#ifndef SRTP_KEY_DERIVATION_H
#define SRTP_KEY_DERIVATION_H

#include "../kernels/kernels.h"

#define SRTP_SALT_LENGTH 14
#define SRTP_AUTH_KEY_LENGTH 20

enum {
    SRTP_LABEL_RTP_ENCRYPTION = 0,
    SRTP_LABEL_RTP_AUTHENTICATION = 1,
    SRTP_LABEL_RTP_SALT = 2,
    SRTP_LABEL_RTCP_ENCRYPTION = 3,
    SRTP_LABEL_RTCP_AUTHENTICATION = 4,
    SRTP_LABEL_RTCP_SALT = 5
};

/* The session keys of RTP or of RTCP. The salt is kept as the two halves of the counter block's first value. */
typedef struct {
    srtp_aes_key encryption;
    srtp_hmac_sha1_key authentication;
    uint64_t salt_high;
    uint64_t salt_low;
} srtp_session_keys;

/* Fills `out` with `length` bytes of PRF_n(master_key, master_salt, label) (4.3.1, 4.3.3). */
void srtp_derive(const srtp_kernels *k, const srtp_aes_key *master_key, const uint8_t salt[SRTP_SALT_LENGTH],
                 uint8_t label, uint8_t *out, size_t length);

/* Derives all keys of RTP (first_label 0) or RTCP (3); key_length bytes of encryption key. */
void srtp_derive_session_keys(const srtp_kernels *k, srtp_session_keys *keys, const uint8_t *master_key,
                              size_t key_length, const uint8_t salt[SRTP_SALT_LENGTH], uint8_t first_label);

#endif
