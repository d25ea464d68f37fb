#include "key_derivation.h"

#include <string.h>

#include "packet.h"

void srtp_derive(const srtp_kernels *k, const srtp_aes_key *master_key, const uint8_t salt[SRTP_SALT_LENGTH],
                 uint8_t label, uint8_t *out, size_t length) {
    uint8_t x[SRTP_AES_BLOCK] = {0};
    memcpy(x, salt, SRTP_SALT_LENGTH);
    /* key_id = label || r, 56 bits right-aligned in 112: with r = 0 only the label's byte is left. */
    x[7] ^= label;
    memset(out, 0, length);
    k->aes_ctr(master_key, x, out, out, length);
    srtp_wipe(x, sizeof x);
}

void srtp_derive_session_keys(const srtp_kernels *k, srtp_session_keys *keys, const uint8_t *master_key,
                              size_t key_length, const uint8_t salt[SRTP_SALT_LENGTH], uint8_t first_label) {
    srtp_aes_key master;
    uint8_t bytes[32];
    k->aes_expand(&master, master_key, key_length);

    srtp_derive(k, &master, salt, first_label, bytes, key_length);
    k->aes_expand(&keys->encryption, bytes, key_length);

    srtp_derive(k, &master, salt, (uint8_t)(first_label + 1), bytes, SRTP_AUTH_KEY_LENGTH);
    srtp_hmac_sha1_init(k, &keys->authentication, bytes, SRTP_AUTH_KEY_LENGTH);

    memset(bytes, 0, sizeof bytes);
    srtp_derive(k, &master, salt, (uint8_t)(first_label + 2), bytes, SRTP_SALT_LENGTH);
    keys->salt_high = srtp_load64(bytes);
    keys->salt_low = srtp_load64(bytes + 8);

    srtp_wipe(bytes, sizeof bytes);
    srtp_wipe(&master, sizeof master);
}
