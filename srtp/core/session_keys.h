/* The session keys of RTP or RTCP (RFC 3711 4.3), in the form in which the kernels want them. */
#ifndef SRTP_SESSION_KEYS_H
#define SRTP_SESSION_KEYS_H

#include "../kernels/kernels.h"

#define SRTP_SALT_LENGTH 14
#define SRTP_AUTH_KEY_LENGTH 20
#define SRTP_MAX_KEY 32

typedef enum { SRTP_NULL_CIPHER, SRTP_AES_CM, SRTP_AES_F8, SRTP_AES_GCM } srtp_cipher;

/* A salt as the two halves of the counter block's first value; a salt of 12 bytes leaves the last 4 zero. */
typedef struct {
    uint64_t high;
    uint64_t low;
} srtp_salt;

/* What only some policies need beside the cipher's key. */
typedef struct {
    srtp_aes_key masked;        /* k_e xor m of AES-f8 (RFC 3711 4.1.2.1) */
    srtp_aes_key header;        /* k_he and k_hs of RFC 6904; for AES-f8 with its own masked key */
    srtp_aes_key header_masked;
    srtp_salt header_salt;
} srtp_further_keys;

/* Allocated no longer than its cipher needs: the union is its end. */
typedef struct {
    srtp_hmac_sha1_key authentication;
    srtp_salt salt;
    srtp_further_keys *further; /* NULL where nothing needs them */
    union {
        srtp_aes_key aes;
        srtp_gcm_key gcm;
    };
} srtp_session_keys;

/* What session keys are derived from: the expanded master key and the master salt, padded with zeros to 14 bytes
 * (RFC 7714 11 uses the PRF of RFC 3711 and RFC 6188 with its salt of 12). */
typedef struct {
    srtp_aes_key master;
    uint8_t salt[SRTP_SALT_LENGTH];
} srtp_derivation;

/* Names a master key and its salt, whatever the profile, without telling of them: a value of the key derivation's PRF
 * (RFC 3711 4.3.3) for a label that no key is derived with. For one key different salts have different names. */
typedef struct {
    uint8_t bytes[SRTP_AES_BLOCK];
} srtp_key_id;

/* What is to be derived. */
typedef struct {
    srtp_cipher cipher;
    size_t key_length;          /* of the encryption key: 16, 24 or 32; the master key's too */
    size_t salt_length;         /* 14, or 12 for GCM */
    int header_keys;            /* RFC 6904 */
} srtp_key_shape;

void srtp_derivation_init(const srtp_kernels *k, srtp_derivation *derivation, const uint8_t *master_key,
                          const uint8_t *master_salt, const srtp_key_shape *shape);
srtp_key_id srtp_derivation_id(const srtp_kernels *k, const srtp_derivation *derivation);

/* How many bytes session keys of this shape take, srtp_further_keys not among them. */
size_t srtp_session_keys_size(const srtp_key_shape *shape);

/* Derives the keys of SRTP, or of SRTCP, at r = index DIV key_derivation_rate (0 at rate 0); r has 48 bits for both
 * (RFC 3711 4.3.1 with erratum 3712). NULL without memory. */
srtp_session_keys *srtp_session_keys_new(const srtp_kernels *k, const srtp_derivation *derivation,
                                         const srtp_key_shape *shape, int rtcp, uint64_t r);
/* Wipes and frees; NULL is allowed. */
void srtp_session_keys_free(srtp_session_keys *keys, const srtp_key_shape *shape);

#endif
