#ifndef CORE_CHECK_H
#define CORE_CHECK_H

#include "core/arena.h"
#include "core/direction.h"
#include "core/f8.h"
#include "core/packet.h"

/* Counts a difference and says it on standard error. */
void report_difference(const char *table, const char *what, size_t length, size_t detail);

/* One row for each combination of cipher and key that a profile has. */
typedef struct {
    srtp_cipher cipher;
    size_t key_length;
    size_t salt_length;
    size_t rtp_tag_length;
    size_t rtcp_tag_length;
} core_profile;
extern const core_profile CORE_PROFILES[];
extern const size_t CORE_PROFILE_COUNT;

/* The parameters of a profile without anything further. */
srtp_parameters core_parameters(const core_profile *profile);
/* Adds a master key without limits to a context. */
srtp_master_key *core_add_key(srtp_context *context, const uint8_t *key, const uint8_t *salt, const uint8_t *mki);

/* Has the same packets protected and unprotected by the table and by the portable one, one at a time and in batches,
 * under random policies, some of the packets damaged. Returns how many were received. */
unsigned long compare_core(const srtp_kernels *k, const srtp_kernels *portable, uint64_t seed);

#endif
