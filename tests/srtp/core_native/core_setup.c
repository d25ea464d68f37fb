/* Policies and keys for the native programs of the core. */
#include "core_check.h"

const core_profile CORE_PROFILES[] = {
    {SRTP_AES_CM, 16, 14, 10, 10}, {SRTP_AES_CM, 16, 14, 4, 10},  {SRTP_AES_CM, 24, 14, 10, 10},
    {SRTP_AES_CM, 32, 14, 10, 10}, {SRTP_AES_F8, 16, 14, 10, 10}, {SRTP_AES_GCM, 16, 12, 16, 16},
    {SRTP_AES_GCM, 32, 12, 16, 16}, {SRTP_NULL_CIPHER, 16, 14, 10, 10},
};
const size_t CORE_PROFILE_COUNT = sizeof CORE_PROFILES / sizeof CORE_PROFILES[0];

srtp_parameters core_parameters(const core_profile *profile)
{
    return (srtp_parameters){
        .shape = {profile->cipher, profile->key_length, profile->salt_length, 0},
        .rtp_tag_length = profile->rtp_tag_length,
        .rtcp_tag_length = profile->rtcp_tag_length,
        .encrypt_rtp = 1,
        .encrypt_rtcp = 1,
        .rtp_window = 128,
        .rtcp_window = 128,
        .replay_check = 1,
        .most_streams = 1024,
    };
}

srtp_master_key *core_add_key(srtp_context *context, const uint8_t *key, const uint8_t *salt, const uint8_t *mki)
{
    const srtp_master_key_values values = {
        .key = key,
        .salt = salt,
        .mki = mki,
        .mki_length = context->parameters.mki_length,
        .to = SRTP_MAX_INDEX,
        .rtp_lifetime = {.soft = (uint64_t)1 << 48, .limit = (uint64_t)1 << 48},
        .rtcp_lifetime = {.soft = (uint64_t)1 << 31, .limit = (uint64_t)1 << 31},
    };
    return srtp_context_add_key(context, &values);
}
